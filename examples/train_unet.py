"""Train a small 3-D U-Net on synthetic scans, and measure it where it counts: on the scanner's own grid.

    python examples/train_unet.py --mode offline      # from files that a run has preprocessed, home by `restore`
    python examples/train_unet.py --mode on-the-fly   # from the scans themselves, home by MONAI's `Invertd`

Both modes feed the network the same bits, so they end with the same figures, after about a minute on one core. The
training set is that of `monai-mriprep demo`; the scans held out are other patients, from the same scanners.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from monai.data import CacheDataset, DataLoader, MetaTensor, load_decathlon_datalist
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import Compose, Invertd, RandCropByLabelClassesd, SpatialPadd
from monai.utils import set_determinism

from monai_mriprep import (
    CastLabeld,
    LoadVolumed,
    Recipe,
    build_transforms,
    open_dataset,
    pair_by_stem,
    preprocess,
    restore,
)
from monai_mriprep.demo.phantoms import make_demo_dataset

PATCH = (16, 64, 64)
CLASSES = ("background", "pancreas", "lesion")
KEYS = ["image", "label"]
READ_NATIVE = Compose([LoadVolumed(["label"]), CastLabeld(["label"])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["offline", "on-the-fly"], default="offline")
    parser.add_argument("--folder", type=Path, default=Path("train-unet"), help="where all files go")
    parser.add_argument("--steps", type=int, default=180, help="training steps")
    options = parser.parse_args()

    start = time.perf_counter()
    training, held_out = options.folder / "training", options.folder / "held-out"
    make_demo_dataset(training, seed=0)
    make_demo_dataset(held_out, seed=1)

    torch.set_num_threads(1)  # so small a network gains nothing from more, and sums keep their order
    data = training_set(options.mode, training)
    set_determinism(0)
    batches = endless(data)
    first = next(batches)
    print(f"first batch: {tuple(first['image'].shape)}, sha256 {digest(first)}")
    network = train(first, batches, options.steps)
    torch.save(network.state_dict(), options.folder / "model.pt")  # for the bundle in configs/bundle
    print(f"trained for {options.steps} steps, {time.perf_counter() - start:.0f} s since the start")

    evaluate = evaluate_offline if options.mode == "offline" else evaluate_on_the_fly
    target = open_dataset(training).derivation.spacing  # scans of other patients are brought to the same spacing
    scores = [dice(*volumes) for volumes in evaluate(network, held_out, target)]
    names = [*CLASSES[1:], "foreground"]
    for number, score in enumerate(scores):
        print(f"held-out scan {number}: " + ", ".join(f"{n} {s:.3f}" for n, s in zip(names, score, strict=True)))
    print("mean Dice on the native grid: ", end="")
    print(", ".join(f"{n} {s:.4f}" for n, s in zip(names, np.mean(scores, axis=0), strict=True)))
    print(f"{time.perf_counter() - start:.0f} s in all")


# --- Data: the two modes differ in where it comes from, and in nothing else -------------------------------------------


def training_set(mode: str, dataset_root: Path) -> CacheDataset:
    """Preprocessed once, cached; only the crop is drawn anew each time."""
    crop = RandCropByLabelClassesd(KEYS, "label", PATCH, ratios=[1, 1, 2], num_classes=len(CLASSES))
    if mode == "offline":
        output_root = dataset_root.with_name("preprocessed")
        preprocess(dataset_root, output_root)
        cases = load_decathlon_datalist(output_root / "dataset.json", data_list_key="training")
        transforms = build_transforms(source="npz", then=[SpatialPadd(KEYS, PATCH), crop])
    else:
        cases, transforms, _ = open_dataset(dataset_root, then=[SpatialPadd(KEYS, PATCH), crop])
    transforms.set_random_state(0)
    return CacheDataset(cases, transforms, progress=False)


def endless(dataset: CacheDataset) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of a patch from each of two scans, shuffled, for ever."""
    loader = DataLoader(dataset, batch_size=2, shuffle=True, drop_last=True)
    while True:
        yield from loader


def digest(batch: dict[str, torch.Tensor]) -> str:
    """Equal for equal bits."""
    parts = b"".join(batch[key].numpy().tobytes() for key in KEYS)
    return hashlib.sha256(parts).hexdigest()[:16]


# --- Network ----------------------------------------------------------------------------------------------------------


def make_network() -> torch.nn.Module:
    """Strides suit slices that are three times as thick as pixels are wide."""
    return UNet(3, 1, len(CLASSES), (8, 16, 32, 64), ((1, 2, 2), (2, 2, 2), (2, 2, 2)), num_res_units=1)


def train(first: dict[str, torch.Tensor], batches: Iterator[dict[str, torch.Tensor]], steps: int) -> torch.nn.Module:
    network = make_network()
    loss_of = DiceCELoss(softmax=True, to_onehot_y=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    batch = first
    for step in range(steps):
        optimizer.zero_grad()
        loss = loss_of(network(batch["image"].as_tensor()), batch["label"].as_tensor().long())
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 20 == 0:
            print(f"step {step + 1}: loss {loss.item():.3f}", flush=True)
        batch = next(batches)
    return network.eval()


@torch.no_grad()
def predict(network: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    """Label map ``(1, D, H, W)`` of a preprocessed image ``(1, D, H, W)``."""
    scores = sliding_window_inference(image[None], PATCH, 4, network, overlap=0.5, mode="gaussian")
    return scores[0].argmax(0, keepdim=True).to(torch.int8)


def dice(found: torch.Tensor, truth: torch.Tensor) -> list[float]:
    """Dice of each class but the background, and of all that is not background."""
    pairs = [(found == value, truth == value) for value in range(1, len(CLASSES))] + [(found > 0, truth > 0)]
    return [float(2 * (a & b).sum() / (a.sum() + b.sum())) for a, b in pairs]


# --- Back to the scanner's grid ---------------------------------------------------------------------------------------

Native = Iterator[tuple[torch.Tensor, torch.Tensor]]
"""Prediction and truth of each scan held out, on its own grid."""


def evaluate_offline(network: torch.nn.Module, held_out: Path, target: tuple[float, float, float]) -> Native:
    """Predictions are files, and `restore` finds in the records of the run where each one belongs."""
    output_root, predictions, restored = (held_out.with_name(n) for n in ("held-out-npz", "predictions", "restored"))
    preprocess(held_out, output_root, Recipe(target_spacing=target))
    predictions.mkdir(exist_ok=True)
    load = build_transforms(source="npz", stage="inference")
    for case in load_decathlon_datalist(output_root / "dataset.json", data_list_key="training"):
        label = predict(network, load(case)["image"].as_tensor())
        np.savez(predictions / Path(case["image"]).name, label[0].numpy())
    restore(output_root, predictions, restored)
    for pair in pair_by_stem(held_out / "ImagesTr", held_out / "LabelsTr"):
        found = LoadVolumed(["label"])({"label": restored / pair.image.name})
        yield found["label"].as_tensor(), READ_NATIVE(pair.as_dict())["label"].as_tensor()


def evaluate_on_the_fly(network: torch.nn.Module, held_out: Path, target: tuple[float, float, float]) -> Native:
    """Predictions stay in memory, and the transforms that made the image know the way back."""
    load = build_transforms(target=target, stage="inference")
    invert = Invertd(["prediction"], load, orig_keys=["image"])
    for pair in pair_by_stem(held_out / "ImagesTr", held_out / "LabelsTr"):
        data = load({"image": str(pair.image)})
        data["prediction"] = MetaTensor(predict(network, data["image"].as_tensor()))
        yield invert(data)["prediction"].as_tensor(), READ_NATIVE(pair.as_dict())["label"].as_tensor()


if __name__ == "__main__":
    main()
