"""The space of the small CNN as a function of an Optuna trial, the form that Optuna and Ray's OptunaSearch take."""

from typing import Any

import optuna

from search_spaces import Choice, Float, Int, preset
from search_spaces.parameters import Plain


def knobs(trial: optuna.Trial) -> dict[str, Any]:
    """Return the knobs of a TrialConfig, with conditional ones only if their condition holds."""

    def ask(name: str, parameter: Plain) -> Any:
        match parameter:
            case Float():
                return trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log, step=parameter.step)
            case Int():
                return trial.suggest_int(name, parameter.low, parameter.high, log=parameter.log, step=parameter.step)
            case Choice():
                return trial.suggest_categorical(name, parameter.values)

    return dict(preset("custom_cnn").walk(ask))
