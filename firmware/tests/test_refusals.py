"""Bad settings and bad files: exit code 2, and an error that names the field, the cause and the next action."""

import asyncio

import pytest
from zenmoon_edge.core.second import Second

WITHIN_S = 30.0


async def refusal(firmware):
    code = await asyncio.wait_for(firmware.process.wait(), WITHIN_S)
    text = firmware.errors()
    assert code == 2, text
    assert "Traceback" not in text
    assert "Next: " in text
    assert firmware.settings["key"] not in text
    return text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("device", "a1b2"),
        ("device", "A1B2C3D4E5F60718"),
        ("key", "00" * 31),
        ("key", 5),
        ("key_id", 256),
        ("key_id", True),
        ("name", ""),
        ("name", "x" * 21),
        ("journal_pages", 0),
        ("loop", "no"),
        ("clock", "yesterday"),
        ("firmware_id", "xyzxyzxy"),
        ("model", ""),
    ],
)
async def test_a_bad_field_is_named(firmware, field, value):
    await firmware.start(8, **{field: value})
    assert f'field "{field}"' in await refusal(firmware)


async def test_a_missing_and_an_unknown_field_are_named(firmware):
    del firmware.settings["key_id"]
    await firmware.start(8)
    assert 'field "key_id" is missing' in await refusal(firmware)
    firmware.settings["key_id"] = 1
    await firmware.start(8, colour="blue")
    assert 'field "colour" is unknown' in await refusal(firmware)


async def test_settings_that_are_cut_off_are_named(firmware, tmp_path):
    await firmware.start(8)
    await firmware.stop()
    path = tmp_path / "settings.json"
    path.write_text(path.read_text()[:-5])
    await firmware.launch()
    assert "is not JSON" in await refusal(firmware)
    path.write_bytes(b'{"device": "\xff\xfe"}')
    await firmware.launch()
    assert "settings.json: is not" in await refusal(firmware)
    path.unlink()
    await firmware.launch()
    assert "cannot be read" in await refusal(firmware)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda data: data[:-1], "ends in the middle of second 7"),
        (lambda data: data + b"\x05", "ends in the middle of second 8"),
        (lambda data: data[:4], "holds no second"),
        (lambda data: b"RIFF" + data[4:], "is no replay file"),
        (lambda data: b"", "is no replay file"),
    ],
)
async def test_a_bad_replay_file_is_refused_at_the_start(firmware, tmp_path, change, cause):
    await firmware.start(8)
    await firmware.stop()
    replay = tmp_path / "replay.bin"
    replay.write_bytes(change(replay.read_bytes()))
    await firmware.start()
    assert cause in await refusal(firmware)


async def test_a_model_that_is_none_is_refused(firmware, tmp_path):
    model = tmp_path / "model.tflite"
    model.write_bytes(b"TFL3")
    await firmware.start(8, model=str(model))
    assert "model" in await refusal(firmware)
    await firmware.start(8, model=str(tmp_path / "absent.tflite"))
    assert 'field "model"' in await refusal(firmware)


async def test_a_second_that_is_none_ends_the_run_with_its_number(firmware, tmp_path):
    await firmware.start([Second(1000, [], [], [], [])])
    await firmware.stop()
    replay = tmp_path / "replay.bin"
    replay.write_bytes(replay.read_bytes() + b"\x02\x00\xff\xff")
    await firmware.start()
    assert await asyncio.wait_for(firmware.process.wait(), WITHIN_S) == 1
    assert "second 1 cannot be read" in firmware.errors()
