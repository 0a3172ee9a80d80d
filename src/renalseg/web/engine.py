"""The ensemble as the server loads it: without post-processing, which is done afterwards."""

from renalseg.batch import Options
from renalseg.inference.profiles import ProfileName
from renalseg.models.ensemble import Ensemble
from renalseg.web.job import Engine
from renalseg.web.settings import Settings
from renalseg.web.worker import Load


def loader(settings: Settings) -> Load:
    """What loads the ensemble of a server's settings.

    The mask before post-processing is kept too, so the engine gives that one.
    """

    def load(profile: ProfileName) -> Engine:
        options = Options(
            folder=settings.model,
            clean=False,
            device=settings.device,
            profile=profile,
            memory_gb=settings.memory_gb,
        )
        cleaning = Ensemble.open(settings.model).manifest.cleaning
        segmenter = options.load()
        return Engine(segmenter, cleaning, segmenter.world, settings.diameter)

    return load
