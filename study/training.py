"""One training run: a generator of measurements that can stop at any step and resume with the same bits."""

import copy
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.batches import Batches, on_device
from study.config import ConfigError, TrialConfig
from study.initialization import initialize
from study.measurement import Measurement
from study.models import build_model
from study.optimization import build_optimizer, set_learning_rate
from study.reproducibility import Hardware, prepare_process, weights_digest
from study.schedules import learning_rate
from study.seeds import derive_seed
from study.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from study.data import Dataset, Split

EVALUATION_BATCH = 500  # images; the bits of a validation loss depend on it
WARM_UP_STEPS = 5  # not timed, since the first calls of an operation include setup
TIMED_STEPS = 20


@dataclass(frozen=True)
class Plan:
    """The length of a run, in steps.

    A plan with `stop_steps` replays a run by steps, without a clock.

    Attributes:
        horizon_steps: The end of the learning-rate schedule, fixed before step 1.
        stop_steps: The last step, or None for a wall-clock run that has not ended yet.

    Raises:
        ValueError: If a number of steps is below 1.
    """

    horizon_steps: int
    stop_steps: int | None = None

    def __post_init__(self) -> None:
        if self.horizon_steps < 1 or (self.stop_steps is not None and self.stop_steps < 1):
            raise ValueError(f"a plan's steps must be at least 1, but got {self}")


class CheckpointError(RuntimeError):
    """Raised for a checkpoint that can't be used; one line gives the reason."""


def never() -> bool:
    """Return False: never interrupt."""
    return False


class Training:
    """A run of one config on one data set, from its start or from a checkpoint.

    Every random draw is a function of (config.seed, stream, epoch or step), so a checkpoint needs no generator state.
    The constructor calls `prepare_process(config.threads)`. With dropout, each step seeds torch's global generator.

    Attributes:
        config: The config of the run.
        plan: Where the run's schedule and the run itself end.
        model: The model in training.
        step: Optimizer steps made.
        last: The last measurement made, even if that was before the checkpoint, or None.
        interrupted: Whether the last `run` ended early.

    Raises:
        ConfigError: If the config doesn't fit the data or the machine.
        CheckpointError: If the checkpoint can't be read, is damaged, or belongs to another run.
    """

    def __init__(
        self,
        config: TrialConfig,
        data: "Dataset",
        *,
        plan: Plan | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        prepare_process(config.threads)
        self.config = config
        self.step = 0
        self.last: Measurement | None = None
        self.interrupted = False
        self._hardware = Hardware.of(config)
        device = self._hardware.device
        self._fingerprint = data.fingerprint
        self._batches = Batches(config, data, device)
        self._validation = on_device(data.validation, device)
        self.model = self._initial_model(data)
        self._optimizer = build_optimizer(config, self.model)
        self._seconds = 0.0
        self._samples = 0  # seen since the last report
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self._sums = torch.zeros(2, dtype=dtype, device=device)  # loss and right answers over these samples
        saved = None if checkpoint is None else self._restore(checkpoint)
        self.plan = self._settle_plan(plan, saved)

    def _initial_model(self, data: "Dataset") -> nn.Module:
        _, channels, height, width = data.train.images.shape
        model = build_model(self.config, (channels, height, width), data.classes)
        generator = torch.Generator().manual_seed(derive_seed(self.config.seed, "init"))
        initialize(model, self.config.init, generator)
        return model.to(device=self._hardware.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _settle_plan(self, given: Plan | None, saved: Plan | None) -> Plan:
        if given and saved and given.horizon_steps != saved.horizon_steps:
            raise CheckpointError(
                f"the checkpoint's schedule ends at step {saved.horizon_steps}, "
                f"but the plan given says {given.horizon_steps}: leave the plan out, or start again"
            )
        plan = given or saved
        if self.config.seconds is not None:
            return plan or Plan(self._horizon_from_clock(self.config.seconds))
        horizon = plan.horizon_steps if plan else (self.config.epochs or 1) * self._batches.steps_per_epoch
        return Plan(horizon, plan.stop_steps if plan and plan.stop_steps else horizon)

    def _horizon_from_clock(self, seconds: float) -> int:
        """Return the steps expected in `seconds`, by the median time of steps on a discarded copy of the model."""
        durations = []
        start = perf_counter()
        for _ in self.probe([self.config.learning_rate] * (WARM_UP_STEPS + TIMED_STEPS)):
            self._hardware.synchronize()
            durations.append(perf_counter() - start)
            start = perf_counter()
        step = statistics.median(durations[WARM_UP_STEPS:])
        if seconds < step:
            raise ConfigError(
                f"seconds={seconds:g} is shorter than one step of training, which takes {step:.2g} s here: "
                "give more seconds, or a smaller batch_size"
            )
        return round(seconds / step)

    def probe(self, rates: Iterable[float]) -> Iterator[Tensor]:
        """Train a copy of the model by one step at each rate, and discard the copy.

        The run itself is unchanged, bit for bit: its weights, its optimizer and the values of its next report.

        Yields:
            The loss of each step, a scalar.
        """
        model = copy.deepcopy(self.model)
        model.train()
        optimizer = build_optimizer(self.config, model)
        for step, rate in enumerate(rates):
            loss, _ = self._learn(model, optimizer, step, rate)
            yield loss

    def run(self, interrupt: Callable[[], bool] = never) -> Iterator[Measurement]:
        """Train, and yield a measurement at each report and at the end.

        A loss that is not finite is reported as it is.

        Args:
            interrupt: Called before each step. If it returns True, the run ends there with `interrupted` set. It can
                then be saved, or continued by another `run()`.
        """
        self.interrupted = False
        self.model.train()
        while not self.is_done:
            if interrupt():
                self.interrupted = True
                return
            self._advance()
            if self.is_done or self._batches.report_is_due(self.step):
                yield self._measure()

    def finish(self) -> Measurement | None:
        """End the run for good at its current step, so that its plan replays it up to there.

        A run that has made no step keeps its plan.

        Returns:
            A measurement of the steps since the last report, or None if there are none.
        """
        if self.step:
            self.plan = Plan(self.plan.horizon_steps, self.step)
        return self._measure() if self._samples else None

    @property
    def is_done(self) -> bool:
        """Return whether the plan's last step has been made."""
        return self.plan.stop_steps is not None and self.step >= self.plan.stop_steps

    def _advance(self) -> None:
        """Make one step of training, and add its time to the clock."""
        start = perf_counter()
        self._rate = learning_rate(self.config, self.step, self.plan.horizon_steps, self._batches.steps_per_epoch)
        loss, right = self._learn(self.model, self._optimizer, self.step, self._rate)
        samples = self._batches.samples_after(self.step + 1) - self._batches.samples_after(self.step)
        self._sums += torch.stack([loss * samples, right])
        self._samples += samples
        self.step += 1
        if self.plan.stop_steps is None:
            self._hardware.synchronize()  # the clock ends the run, so it must be right at each step
        self._seconds += perf_counter() - start
        if self.plan.stop_steps is None and self.config.seconds is not None and self._seconds >= self.config.seconds:
            self.plan = Plan(self.plan.horizon_steps, self.step)

    def _learn(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, step: int, rate: float
    ) -> tuple[Tensor, Tensor]:
        """Make one step, and return the batch's mean loss and number of right answers, as scalars on the device."""
        images, labels = self._batches.at(step)
        if self.config.dropout:
            torch.manual_seed(derive_seed(self.config.seed, "dropout", step))
        set_learning_rate(optimizer, rate)
        with self._hardware.autocast():
            logits = model(images)
        loss = functional.cross_entropy(logits.float(), labels, label_smoothing=self.config.label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.detach(), (logits.argmax(1) == labels).sum()

    def _measure(self) -> Measurement:
        start = perf_counter()
        self._hardware.synchronize()
        self._seconds += perf_counter() - start
        loss, right = self._sums.tolist()
        validation = self._evaluate(*self._validation)
        values = {
            "train_loss": loss / self._samples,
            "train_accuracy": right / self._samples,
            "validation_loss": validation["loss"],
            "validation_accuracy": validation["accuracy"],
            "learning_rate": self._rate,
        }
        self._forget_samples()
        self.last = Measurement(
            report=self.last.report + 1 if self.last else 1,
            step=self.step,
            fidelity=self._batches.samples_after(self.step) / self._batches.samples,
            seconds=self._seconds,
            values=values,
            digest=self.digest(),
        )
        return self.last

    def _forget_samples(self) -> None:
        self._sums.zero_()
        self._samples = 0

    def evaluate(self, split: "Split") -> dict[str, float]:
        """Return the current model's mean cross entropy (`loss`, not smoothed) and `accuracy` (0..1) on a split."""
        return self._evaluate(*on_device(split, self._hardware.device))

    def logits(self, split: "Split") -> Tensor:
        """Return the current model's logits for a split, (n, classes), float32, on the device, without dropout."""
        return torch.cat([logits for logits, _ in self._answers(*on_device(split, self._hardware.device))])

    def _evaluate(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        sums = torch.zeros_like(self._sums)
        for logits, answers in self._answers(images, labels):
            loss = functional.cross_entropy(logits, answers, reduction="sum")
            sums += torch.stack([loss, (logits.argmax(1) == answers).sum()])
        loss_sum, right = sums.tolist()
        return {"loss": loss_sum / len(labels), "accuracy": right / len(labels)}

    def answer(self, images: Tensor) -> Tensor:
        """Return logits for images, in the model's current mode and with the precision of the run.

        Args:
            images: Images (n, channels, height, width) of 0..255, on the device.

        Returns:
            Logits (n, classes), float32.
        """
        with self._hardware.autocast():
            logits: Tensor = self.model(self._batches.normalized(images))
        return logits.float()

    def _answers(self, images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return logits (float32) and labels of each part, with the model in evaluation mode."""
        was_training = self.model.training
        self.model.eval()
        with torch.inference_mode():
            parts = zip(torch.split(images, EVALUATION_BATCH), torch.split(labels, EVALUATION_BATCH), strict=True)
            found = [(self.answer(part), answers) for part, answers in parts]
        self.model.train(was_training)
        return found

    def latency(self) -> float:
        """Return the median time in which the current model answers one image on this device, in s."""
        images, labels = (part[:1] for part in self._validation)
        durations = []
        for _ in range(WARM_UP_STEPS + TIMED_STEPS):
            start = perf_counter()
            self._answers(images, labels)
            self._hardware.synchronize()
            durations.append(perf_counter() - start)
        return statistics.median(durations[WARM_UP_STEPS:])

    def state_dict(self) -> dict[str, Tensor]:
        """Return a copy of the weights and batch-norm statistics, contiguous and on the CPU."""
        state = self.model.state_dict()
        return {name: t.detach().to("cpu", copy=True).contiguous() for name, t in state.items()}

    def digest(self) -> str:
        """Return the SHA-256 of the weights, in hex."""
        return weights_digest(self.model.state_dict())

    def save(self, path: Path) -> None:
        """Write a checkpoint at any step, from which `Training(config, data, checkpoint=path)` resumes."""
        save_tensors(
            path,
            {
                "identity": self._identity(),
                "plan": asdict(self.plan),
                "step": self.step,
                "seconds": self._seconds,
                "last": None if self.last is None else asdict(self.last),
                "samples": self._samples,
                "sums": self._sums,
                "model": self.model.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                # The weights do not change between a step's measurement and its checkpoint.
                "digest": self.last.digest if self.last and self.last.step == self.step else self.digest(),
            },
        )

    def _identity(self) -> dict[str, Any]:
        """Return the facts that must be equal for a run to resume as if it had never stopped."""
        here = {"device": self._hardware.device.type, "precision": str(self._hardware.precision)}
        return {**self.config.model_dump(), **here, "fingerprint of the data": self._fingerprint}

    def _restore(self, path: Path) -> Plan:
        try:
            saved = load_tensors(path)
            theirs, ours = saved["identity"], self._identity()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"the checkpoint {path} can't be read: {error}") from error
        for name, ours_value in ours.items():
            if theirs.get(name) != ours_value:
                raise CheckpointError(
                    f"the checkpoint {path} belongs to another run: {name} is {theirs.get(name)!r} there "
                    f"and {ours_value!r} here"
                )
        self.model.load_state_dict(saved["model"])
        self._optimizer.load_state_dict(saved["optimizer"])
        if self.digest() != saved["digest"]:
            raise CheckpointError(f"the checkpoint {path} is damaged: its weights don't match its digest")
        self.step, self._seconds, self._samples = saved["step"], saved["seconds"], saved["samples"]
        self._sums.copy_(saved["sums"])
        self.last = None if saved["last"] is None else Measurement(**saved["last"])
        return Plan(**saved["plan"])


def train(
    config: TrialConfig,
    data: "Dataset | None" = None,
    *,
    plan: Plan | None = None,
    checkpoint: Path | None = None,
) -> Iterator[Measurement]:
    """Run one training, and yield its measurements.

    Args:
        config: The config of the run.
        data: The data set; the config's is loaded by default.
        plan: Where the run ends, for a replay by steps.
        checkpoint: A checkpoint to resume from.
    """
    if data is None:
        from study.data import load

        data = load(config.dataset)
    yield from Training(config, data, plan=plan, checkpoint=checkpoint).run()
