"""What a training logs, per epoch; nnU-Net's own names."""

CURVES = "curves.json"
LOGGED = ("train_losses", "val_losses", "mean_fg_dice", "lrs")
#: How long each epoch took.
SECONDS = "epoch_seconds"
