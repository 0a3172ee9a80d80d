"""Weights of one network as the start of another."""

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn

from renalseg.errors import ModelError
from renalseg.models.checkpoints import save_checkpoint
from renalseg.training.transfer import transfer_weights


def unet(features=(4, 8, 16), channels=1, classes=3, conv=nn.Conv3d, kind=PlainConvUNet):
    stages = len(features)
    blocks = (
        {"n_conv_per_stage": 2} if kind is PlainConvUNet else {"n_blocks_per_stage": [1] * stages}
    )
    return kind(
        input_channels=channels,
        n_stages=stages,
        features_per_stage=features,
        conv_op=conv,
        kernel_sizes=3,
        strides=[1] + [2] * (stages - 1),
        num_classes=classes,
        n_conv_per_stage_decoder=1,
        conv_bias=True,
        norm_op=nn.InstanceNorm3d if conv is nn.Conv3d else nn.InstanceNorm2d,
        norm_op_kwargs={"affine": True},
        nonlin=nn.LeakyReLU,
        deep_supervision=True,
        **blocks,
    )


def checkpoint_of(network, tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    save_checkpoint({"network_weights": network.state_dict()}, path)
    return path


@pytest.mark.parametrize("kind", [PlainConvUNet, ResidualEncoderUNet])
def test_all_but_the_segmentation_layers_are_taken(tmp_path, kind):
    source, network = unet(classes=3, kind=kind), unet(classes=4, kind=kind)
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    report = transfer_weights(network, checkpoint_of(source, tmp_path))
    for name, tensor in network.state_dict().items():
        wanted = start if "seg_layers" in name else source.state_dict()
        torch.testing.assert_close(tensor, wanted[name], rtol=0, atol=0)
    assert not report.adapted
    assert report.left == ("decoder.seg_layers.0", "decoder.seg_layers.1")


@pytest.mark.parametrize("kind", [PlainConvUNet, ResidualEncoderUNet])
def test_masks_of_a_previous_stage_start_without_a_say(tmp_path, kind):
    source, network = unet(channels=1, kind=kind), unet(channels=4, kind=kind)
    report = transfer_weights(network, checkpoint_of(source, tmp_path))
    assert len(report.adapted) == 1
    assert report.adapted[0] in str(report)
    image = torch.randn(1, 1, 8, 8, 8)
    masks = torch.randn(1, 3, 8, 8, 8)
    with torch.no_grad():
        wanted = source.encoder(image)
        got = network.encoder(torch.cat([image, masks], 1))
    for one, other in zip(wanted, got, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_a_network_without_masks_takes_the_image_channel(tmp_path):
    source, network = unet(channels=4), unet(channels=1)
    transfer_weights(network, checkpoint_of(source, tmp_path))
    name = "encoder.stages.0.0.convs.0.conv.weight"
    torch.testing.assert_close(network.state_dict()[name], source.state_dict()[name][:, :1])


def test_weights_kept_in_half_precision_are_a_start(tmp_path):
    source, network = unet(), unet()
    path = checkpoint_of(source.half(), tmp_path)
    report = transfer_weights(network, path)
    name = "encoder.stages.1.0.convs.0.conv.weight"
    taken = network.state_dict()[name]
    assert taken.dtype == torch.float32
    torch.testing.assert_close(taken, source.state_dict()[name].float(), rtol=0, atol=0)
    assert not report.adapted


def test_levels_are_matched_from_the_finest(tmp_path):
    source, network = unet((4, 8, 16, 32)), unet((4, 8, 16))
    report = transfer_weights(network, checkpoint_of(source, tmp_path))
    deep, shallow = source.state_dict(), network.state_dict()
    name = "convs.0.conv.weight"
    torch.testing.assert_close(
        shallow[f"decoder.stages.1.{name}"], deep[f"decoder.stages.2.{name}"]
    )
    assert {n for n in report.left if "seg_layers" not in n} == set()


def test_a_deeper_network_keeps_what_the_other_has_not(tmp_path):
    source, network = unet((4, 8, 16)), unet((4, 8, 16, 32))
    report = transfer_weights(network, checkpoint_of(source, tmp_path))
    assert any(name.startswith("encoder.stages.3") for name in report.left)
    assert any(name.startswith("decoder.stages.0") for name in report.left)
    assert any(name.startswith("decoder.stages.1") for name in report.taken)


def test_a_planar_network_is_no_start_for_a_volume(tmp_path):
    path = checkpoint_of(unet((4, 8, 16), conv=nn.Conv2d), tmp_path)
    network = unet((5, 10, 20))
    with pytest.raises(ModelError, match="no layer fits"):
        transfer_weights(network, path)
