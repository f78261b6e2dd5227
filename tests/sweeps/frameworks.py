"""A Lightning module and a Hugging Face Trainer behind generators, written as in the guides of these libraries."""

import io
import tarfile
import tempfile
from pathlib import Path

EPOCHS = 4


def lightning_module(params, seed, checkpoint):
    """Train an MLP with Lightning, with one report per epoch; the state is Lightning's own checkpoint."""
    import lightning as lit
    import torch

    lit.seed_everything(seed, workers=True, verbose=False)

    class Classifier(lit.LightningModule):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(20, 129), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(129, 2)
            )

        def training_step(self, batch, _):
            images, labels = batch
            return torch.nn.functional.cross_entropy(self.layers(images), labels)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=params["lr"])

    train, validation = _tensors()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*train), batch_size=64, shuffle=True)
    model = Classifier()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "last.ckpt"
        if checkpoint:
            file.write_bytes(checkpoint["lightning"])
        for epoch in range(checkpoint["epoch"] if checkpoint else 0, EPOCHS):
            trainer = lit.Trainer(
                max_epochs=epoch + 1,
                accelerator="cpu",
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            model.train()  # Lightning keeps the modules in the mode in which the validation left them
            trainer.fit(model, loader, ckpt_path=file if file.exists() else None)
            trainer.save_checkpoint(file)
            yield {
                "loss": _loss(model.layers, validation),
                "checkpoint": {"epoch": epoch + 1, "lightning": file.read_bytes()},
            }


def hugging_face_trainer(params, seed, checkpoint):
    """Train an MLP with the Trainer of transformers, with one report per epoch; the state is its checkpoint folder."""
    import torch
    from transformers import Trainer, TrainingArguments, set_seed

    set_seed(seed)

    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(20, 129), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(129, 2)
            )

        def forward(self, inputs, labels):
            logits = self.layers(inputs)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    train, validation = _tensors()
    rows = [{"inputs": inputs, "labels": label} for inputs, label in zip(*train, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        if checkpoint:
            with tarfile.open(fileobj=io.BytesIO(checkpoint["folder"])) as archive:
                archive.extractall(folder, filter="data")
        for epoch in range(checkpoint["epoch"] if checkpoint else 0, EPOCHS):
            arguments = TrainingArguments(
                output_dir=folder,
                seed=seed,
                num_train_epochs=epoch + 1,
                learning_rate=params["lr"],
                lr_scheduler_type="constant",
                per_device_train_batch_size=64,
                save_strategy="epoch",
                save_total_limit=1,
                use_cpu=True,
                report_to=[],
                disable_tqdm=True,
                logging_strategy="no",
            )
            trainer = Trainer(model=Classifier(), args=arguments, train_dataset=rows)
            trainer.train(resume_from_checkpoint=epoch > 0)
            layers = trainer.model.layers.eval()
            yield {
                "loss": _loss(layers, validation),
                "checkpoint": {"epoch": epoch + 1, "folder": _packed(Path(folder))},
            }


def _packed(folder):
    """Return a folder's files as the bytes of one tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder, arcname=".")
    return buffer.getvalue()


def _tensors():
    """Return (inputs, labels) for training, 512 rows, and for validation, 256 rows, of two classes that overlap."""
    import torch

    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(768, 20, generator=draw)
    labels = (inputs[:, :4].sum(1) + torch.randn(768, generator=draw) > 0).long()
    return (inputs[:512], labels[:512]), (inputs[512:], labels[512:])


def _loss(layers, validation):
    import torch

    with torch.no_grad():
        return torch.nn.functional.cross_entropy(layers.eval()(validation[0]), validation[1]).item()
