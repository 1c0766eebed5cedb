"""The loss as modules of PyTorch: with fixed parameters, and with learned ones per column."""

try:
    from robloss.torch._adaptive import AdaptiveLoss
    from robloss.torch._general import GeneralLoss
    from robloss.torch._images import AdaptiveImageLoss
    from robloss.torch._students_t import StudentsTLoss
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError(
        "`robloss.torch` needs PyTorch 2.7 or newer; install it, e.g. pip install 'robloss[torch]'."
    ) from error

__all__ = ["AdaptiveImageLoss", "AdaptiveLoss", "GeneralLoss", "StudentsTLoss"]
