"""What a real host refuses when it loads a function, for the worker that has no official library.

Each check mirrors one row of the ways an app can be wrong: a parameter that no binding feeds, a
binding that no parameter takes, an annotation that its binding cannot fill.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import azure.functions as func
from azure.functions.decorators.function_app import Function as SdkFunction

from local.functions_host.functions import HTTP_TRIGGER, LoadError


@dataclass(frozen=True)
class Signature:
    """How a function is to be called."""

    call: Callable[..., Any]
    parameter: str
    binding_type: str
    annotation: Any
    wants_client: bool
    wants_context: bool
    has_return: bool

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return inspect.iscoroutinefunction(self.call)


def extensions_base() -> ModuleType | None:
    """Return `azurefunctions.extensions.base` if the app imported an extension."""
    if "azurefunctions.extensions.base" not in sys.modules:
        return None
    return importlib.import_module("azurefunctions.extensions.base")


def is_streaming() -> bool:
    """Whether the app imported the HTTP extension: that switches every HTTP function over."""
    base = extensions_base()
    return base is not None and bool(base.HttpV2FeatureChecker.http_v2_enabled())


def read_signature(function: SdkFunction) -> Signature:
    """Check a function against its bindings and return how to call it.

    Raises:
        LoadError: a real host would refuse the function.
    """
    name = str(function.get_function_name())
    call = function.get_user_function()
    parameters = set(inspect.signature(call).parameters)
    hints = _type_hints(name, call)
    bound = {binding.name for binding in function.get_bindings()} - {"$return"}
    wants_context = "context" in parameters and "context" not in bound
    if wants_context:
        parameters.remove("context")
        _check_context(name, hints)
    _check_names(name, parameters, bound)
    trigger = function.get_trigger()
    if trigger is None or bound != {trigger.name}:
        raise LoadError(f"{name}: only its trigger may be bound here, not {sorted(bound)}")
    annotation = hints.get(trigger.name)
    if trigger.name in hints:
        _check_annotation(name, trigger.name, str(trigger.type), annotation)
    has_return = any(binding.name == "$return" for binding in function.get_bindings())
    if has_return and "return" in hints:
        _check_return(name, hints["return"])
    wants_client = _is_client_type(annotation)
    return Signature(call, trigger.name, str(trigger.type), annotation, wants_client, wants_context, has_return)


def _type_hints(name: str, call: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(call)
    except (NameError, TypeError) as error:
        raise LoadError(f"{name}: {error}") from None


def _check_context(name: str, hints: Mapping[str, Any]) -> None:
    hint = hints.get("context", func.Context)
    if getattr(hint, "__name__", "") != "Context":
        raise LoadError(f"{name}: the parameter 'context' must be an azure.functions.Context, not {hint!r}")


def _check_names(name: str, parameters: set[str], bound: set[str]) -> None:
    if unbound := parameters - bound:
        raise LoadError(f"{name}: no binding fills the parameters {sorted(unbound)}")
    if missing := bound - parameters:
        raise LoadError(f"{name}: the bindings {sorted(missing)} have no parameter of that name")


def _check_annotation(name: str, parameter: str, binding_type: str, annotation: Any) -> None:
    if not isinstance(annotation, type):
        raise LoadError(f"{name}: the annotation {annotation!r} of {parameter!r} is not a type")
    if not _can_fill(binding_type, annotation):
        raise LoadError(f"{name}: a {binding_type} cannot fill the parameter {parameter!r}, a {annotation.__name__}")


def _can_fill(binding_type: str, annotation: type) -> bool:
    base = extensions_base()
    if binding_type == HTTP_TRIGGER and is_streaming() and base is not None:
        return bool(base.RequestTrackerMeta.check_type(annotation))
    if base is not None and _is_client_type(annotation):
        converter = base.get_binding_registry().get(binding_type)
        return converter is not None and bool(converter.check_input_type_annotation(annotation))
    if annotation in (str, bytes):
        return binding_type != HTTP_TRIGGER
    return bool(func.get_binding_registry().get(binding_type).check_input_type_annotation(annotation))


def _is_client_type(annotation: Any) -> bool:
    base = extensions_base()
    return base is not None and bool(base.get_binding_registry().check_supported_type(annotation))


def _check_return(name: str, annotation: Any) -> None:
    if not isinstance(annotation, type):
        raise LoadError(f"{name}: the return annotation {annotation!r} is not a type")
    base = extensions_base()
    if is_streaming() and base is not None:
        fits = base.ResponseTrackerMeta.check_type(annotation)
    else:
        fits = func.get_binding_registry().get("http").check_output_type_annotation(annotation)
    if not fits:
        raise LoadError(f"{name}: an HTTP function cannot return a {annotation.__name__}")
