#!/usr/bin/env python3
"""Runs the committed checkpoints again and compares with the committed vectors.

    check.py [--golden tests/golden] [--reference DIR]

`plain_*` needs torch and transformers, `vendor_a` also the published model.py in DIR (left out
without it). Exits 1 when something differs by more than the tolerance of its kind.
"""

import argparse
import importlib.util
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from official import read_checkpoint, tensor_list

PLAIN_TOLERANCE, VENDOR_TOLERANCE = (
    1e-5,
    1e-3,
)  # of the largest absolute value; a library may sum in another order


class Report:
    def __init__(self):
        self.failures = 0

    def close(self, what, mine, stored, tolerance):
        share = float((mine - stored).abs().max() / stored.abs().max())
        self.note(share <= tolerance, f"{what}: max|Δ| / max = {share:.1e}")

    def same(self, what, mine, stored):
        self.note(
            torch.equal(mine, stored),
            f"{what}: {'equal' if torch.equal(mine, stored) else 'DIFFERENT'}",
        )

    def note(self, good, sentence):
        self.failures += not good
        print(("ok    " if good else "FAIL  ") + sentence)


def check_layout(report, name, config, tensors):
    expected = {n for n, _, _ in tensor_list(config)}
    stored = {n for n in tensors if not n.endswith(".scale")}
    report.note(
        expected == stored, f"{name}: {len(stored)} tensors besides scales, as the config asks"
    )


def check_selections(report, name, run, vectors, layers):
    for i in range(layers):
        report.same(f"{name} layer {i} experts", run.experts[i], vectors[f"layer.{i}.experts"])
        if i in run.selected:
            report.same(
                f"{name} layer {i} selected", run.selected[i], vectors[f"layer.{i}.selected"]
            )


@torch.no_grad()
def check_plain(report, directory):
    import hf_model

    name, (config, tensors) = directory.name, read_checkpoint(directory)
    vectors, layers = load_file(directory / "vectors.safetensors"), config["num_hidden_layers"]
    check_layout(report, name, config, tensors)
    model = hf_model.build_model(config, tensors)
    recorder = hf_model.Recorder(model.model.layers, config["swiglu_limit"])
    logits, hidden = hf_model.prefill(model, vectors["tokens"])
    report.close(f"{name} logits", logits, vectors["logits"], PLAIN_TOLERANCE)
    report.close(f"{name} hidden", hidden, vectors["hidden"], PLAIN_TOLERANCE)
    for i in range(layers):
        mine = recorder.streams[i][vectors["streams.positions"]]
        report.close(
            f"{name} layer {i} streams", mine, vectors[f"layer.{i}.streams"], PLAIN_TOLERANCE
        )
    check_selections(report, name, recorder, vectors, layers)
    last = recorder.streams[layers - 1]
    steps = hf_model.step_by_step(model, vectors["tokens"])
    report.close(f"{name} logits, token by token", steps, vectors["logits"], PLAIN_TOLERANCE)
    if "mtp.logits" in vectors:
        mtp = hf_model.MtpBlock(config, tensors)
        _, drafts = mtp(last[:-1], vectors["tokens"][1:])
        report.close(f"{name} draft logits", drafts, vectors["mtp.logits"], PLAIN_TOLERANCE)


def check_vendor(report, directory, reference):
    import capture_vendor
    import vendor_reference

    name, (config, tensors) = directory.name, read_checkpoint(directory)
    vectors, layers = load_file(directory / "vectors.safetensors"), config["num_hidden_layers"]
    check_layout(report, name, config, tensors)
    model = vendor_reference.build(vendor_reference.import_reference(reference), config, tensors)
    run, logits, drafts = capture_vendor.prefill(model, config, vectors["tokens"])
    report.close(f"{name} logits", logits, vectors["logits"], VENDOR_TOLERANCE)
    report.close(f"{name} draft logits", drafts, vectors["mtp.logits"], VENDOR_TOLERANCE)
    check_selections(report, name, run, vectors, layers)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--golden", default=Path(__file__).resolve().parents[2] / "tests/golden", type=Path
    )
    parser.add_argument("--reference", help="directory with the published model.py")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report = Report()
    if importlib.util.find_spec("transformers"):
        for directory in sorted(arguments.golden.glob("plain_*")):
            check_plain(report, directory)
    else:
        print("transformers is not installed: plain_* was not checked.")
    if arguments.reference:
        check_vendor(report, arguments.golden / "vendor_a", arguments.reference)
    else:
        print("--reference was not given: vendor_a was not checked.")
    sys.exit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
