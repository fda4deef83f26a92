"""The settings: whatever stands in the environment, they load or say what is wrong, and never what stood there."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.settings import ConfigurationError, Settings, load, setting_name, trigger_settings

SECRET = "sEcReT"
NAMES = [setting_name(field) for field in Settings.model_fields]
TEMPLATES = st.sampled_from(
    [
        "{}",
        "https://{}",
        "https://{}/v2",
        "http://{}",
        "http://localhost/{}",
        "https://h/v2?{}",
        "https://{}@h/v2",
        "https://:{}@h/v2",
        "https://[{}]/v2",
        "https://h:{}/v2",
        "https://{}\u2100/v2",
        "https://h/#{}",
        "delete{}",
        "12{}",
        "0 0 3 * * * * {}",
        "-{}",
    ]
)
ANYTHING = st.text(st.characters(exclude_characters="\0"), max_size=12)
VALUES = st.one_of(
    st.tuples(TEMPLATES, ANYTHING, ANYTHING).map(lambda made: made[0].format(made[1] + SECRET + made[2])),
    st.sampled_from(["", " ", "https://h/v2", "http://127.0.0.1:1/v2", "1", "0", "9" * 5000, "report", "EventGrid"]),
    st.text(max_size=20),
    st.just("\udc80" + SECRET),  # a byte that is no UTF-8, as os.environ gives it
)
GOOD = {"DICOM_SERVICE_URL": "https://host/v2", "DICOM_STORAGE": "UseDevelopmentStorage=true"}


@settings(max_examples=400)
@given(environment=st.dictionaries(st.sampled_from([*NAMES, "PATH", "dicom_service_url"]), VALUES))
def test_any_environment(environment: dict[str, str]) -> None:
    """Any environment gives settings, or one error that names settings and none of their values."""
    problems: list[str] = []
    try:
        load(environment)
    except ConfigurationError as error:
        problems = [str(error), repr(error), *error.problems, *traceback.format_exception(error)]
    assert SECRET.lower() not in "".join(problems).lower()


@given(environment=st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_triggers_can_always_be_declared(environment: dict[str, str]) -> None:
    """What the triggers' declarations need is there whatever the environment holds."""
    declared = trigger_settings(environment)
    assert declared.inbox_container
    assert declared.purge_schedule
    assert declared.blob_source in ("EventGrid", "LogsAndContainerScan")


@given(name=st.sampled_from(NAMES), blank=st.sampled_from(["", " ", "\t\n"]))
def test_blank_is_absent(name: str, blank: str) -> None:
    """A setting that is there and blank counts as not set, as the portal leaves it."""
    given_without = {key: value for key, value in GOOD.items() if key != name}
    if given_without == GOOD:
        assert load({**GOOD, name: blank}) == load(GOOD)
    else:
        with pytest.raises(ConfigurationError):
            load({**GOOD, name: blank})
