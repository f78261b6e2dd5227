"""A notebook panel that sets up a training run, starts it, plots its curve as it grows, and stops it after any step."""

import io
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

from study.config import ConfigError, TrialConfig
from study.data import EMBEDDED, Dataset, load
from study.figures import save, training_curves
from study.figures.style import VERMILLION
from study.training import Training

if TYPE_CHECKING:
    from study.measurement import Measurement

AUGMENTATIONS = ("rotation", "color_jitter", "perspective")
REPORTS_PER_EPOCH = 4  # points of the curve, if an epoch has this many steps
DOTS_PER_INCH = 100


class PanelError(RuntimeError):
    """Raised for a panel that can't be shown here; one line says what to install."""


class Panel:
    """Widgets that set up one run on a data set, by default the embedded digits, and train it in a thread.

    Attributes:
        widget: The widget to display.
        controls: The input widgets by knob.
        measurements: The measurements of the last run so far.
        error: The error line that is shown if the inputs make no valid config, or "".

    Raises:
        PanelError: If ipywidgets is not installed.
    """

    def __init__(self, data: Dataset | None = None) -> None:
        self._widgets = _ipywidgets()
        self._data = load(EMBEDDED) if data is None else data
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.measurements: tuple[Measurement, ...] = ()
        self.error = ""
        self.controls = self._build_controls()
        self._train = self._widgets.Button(description="Train", button_style="primary")
        self._stop = self._widgets.Button(description="Stop", disabled=True)
        self._bar = self._widgets.FloatProgress(min=0.0, max=1.0)
        self._status = self._widgets.Label("not started")
        hidden = {"display": "none", "width": "720px", "max_width": "100%"}
        self._curve = self._widgets.Image(format="png", layout=hidden)
        self._train.on_click(lambda _button: self.start())
        self._stop.on_click(lambda _button: self.stop())
        self.widget = self._arrange()

    def start(self) -> None:
        """Start the chosen run in the background, or show why the config is invalid; do nothing during a run."""
        if self._train.disabled:
            return
        try:
            config = self.config()
        except ConfigError as error:
            self._show_error(error)
            return
        self.measurements = ()
        self._stopping.clear()
        self._bar.value = 0.0
        self._curve.layout.display = "none"
        self._say("preparing")
        self._train.disabled, self._stop.disabled = True, False
        self._thread = threading.Thread(target=self._run, args=(config,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the run after its current step, and keep its measurements."""
        self._stopping.set()

    def wait(self) -> None:
        """Wait until no run is in progress."""
        if self._thread is not None:
            self._thread.join()

    def config(self) -> TrialConfig:
        """Return the config that the controls describe.

        Raises:
            ConfigError: If a value breaks a rule.
        """
        knobs = {knob: control.value for knob, control in self.controls.items()}
        rate = knobs.pop("dropout_rate")
        if rate:
            knobs |= {"dropout": True, "dropout_rate": rate}
        steps = len(self._data.train) // max(1, knobs["batch_size"])
        return TrialConfig(**knobs, reports_per_epoch=min(REPORTS_PER_EPOCH, max(1, steps)))

    def _run(self, config: TrialConfig) -> None:
        """Run the training, in its own thread."""
        try:
            training = Training(config, self._data)
            for measurement in training.run(interrupt=lambda: self._is_stopped(training)):
                self.measurements = (*self.measurements, measurement)
                self._draw(config)
            self._show_step(training, "stopped" if training.interrupted else "done")
        except ConfigError as error:
            self._show_error(error)
        finally:
            self._train.disabled, self._stop.disabled = False, True

    def _is_stopped(self, training: Training) -> bool:
        """Return whether the run is to stop, and move the bar at most once in each hundredth of the run."""
        # It is called before each step, which makes it the place to move the bar.
        if training.step * 100 // _steps(training) > self._bar.value * 100:
            self._show_step(training, "training")
        return self._stopping.is_set()

    def _show_step(self, training: Training, state: str) -> None:
        self._bar.value = training.step / _steps(training)
        found = ""
        if self.measurements:
            values = self.measurements[-1].values
            found = f", validation loss {values['validation_loss']:.4f}, accuracy {values['validation_accuracy']:.4f}"
        self._say(f"{state}: step {training.step} of {_steps(training)}{found}")

    def _draw(self, config: TrialConfig) -> None:
        image = io.BytesIO()
        figure = training_curves(self.measurements, title=f"{config.model}, {config.optimizer}, {config.schedule}")
        save(figure, image, format="png", dpi=DOTS_PER_INCH)
        self._curve.value = image.getvalue()
        self._curve.layout.display = "block"

    def _say(self, text: str) -> None:
        self.error = ""
        self._status.style.text_color = None
        self._status.value = text

    def _show_error(self, error: ConfigError) -> None:
        self.error = str(error)
        self._status.style.text_color = VERMILLION
        self._status.value = self.error

    def _build_controls(self) -> dict[str, Any]:
        """Build one control for each knob, at the knob's default."""
        fields = TrialConfig.model_fields
        controls = {
            knob: self._widgets.Dropdown(options=get_args(fields[knob].annotation), value=fields[knob].default)
            for knob in ("model", "optimizer", "schedule")
        }
        controls["learning_rate"] = self._widgets.FloatText(fields["learning_rate"].default)
        controls["batch_size"] = self._widgets.IntText(fields["batch_size"].default)
        controls["epochs"] = self._widgets.IntText(3)
        controls["dropout_rate"] = self._widgets.FloatSlider(0.0, min=0.0, max=0.6, step=0.05)
        controls["label_smoothing"] = self._widgets.FloatSlider(0.0, min=0.0, max=0.2, step=0.01)
        for knob in AUGMENTATIONS:
            controls[knob] = self._widgets.Checkbox(False)
        for knob, control in controls.items():
            control.description = knob.replace("_", " ")
            control.style.description_width = "8.5em"
            control.layout.width = "19em"
        return controls

    def _arrange(self) -> Any:
        box, column = self._widgets.HBox, self._widgets.VBox
        columns: Sequence[Sequence[str]] = (
            ("model", "optimizer", "schedule", "learning_rate"),
            ("batch_size", "epochs", "dropout_rate", "label_smoothing"),
            AUGMENTATIONS,
        )
        choices = box([column([self.controls[knob] for knob in knobs]) for knobs in columns])
        return column([choices, box([self._train, self._stop, self._bar]), self._status, self._curve])


def _steps(training: Training) -> int:
    """Return the last step of a run whose length is given in epochs."""
    return training.plan.stop_steps or training.plan.horizon_steps


def _ipywidgets() -> Any:
    """Import the widget library, an optional extra that no other part of the package needs."""
    try:
        import ipywidgets
    except ImportError:
        raise PanelError("the panel needs ipywidgets: pip install 'nn-training-study[notebook]'") from None
    return ipywidgets
