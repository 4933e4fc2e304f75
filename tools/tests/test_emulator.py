"""A board is a process: it answers, it may crash or hang, and it always ends."""

import os
import time
from pathlib import Path

import pytest
from emulator import Board, BoardError, Desktop, RemoteError

INTERPRETER = Path(os.environ.get("ZENMOON_MICROPYTHON") or Path(__file__).parents[2] / ".toolchain/micropython/micropython")
pytestmark = pytest.mark.skipif(not INTERPRETER.is_file(), reason="no MicroPython: `python tools/toolchain.py` builds it")


def alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def stopped(process: int) -> None:
    """Waits, within a bound, until it stands still."""
    deadline = time.monotonic() + 15
    while Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
        assert time.monotonic() < deadline


def pid(board: Board) -> int:
    assert board.process is not None
    return board.process.pid


def test_code_shares_one_scope_and_its_output_comes_back() -> None:
    with Desktop(INTERPRETER) as board:
        board.exec("x = 6")
        assert board.exec("print(x * 7); print('é')") == "42\né\n"
        assert board.exec("pass") == ""


def test_an_exception_comes_back_as_its_traceback_and_the_board_goes_on() -> None:
    with Desktop(INTERPRETER) as board:
        with pytest.raises(RemoteError, match="ValueError: of mine"):
            board.exec("raise ValueError('of mine')")
        assert board.exec("print(1)") == "1\n"


@pytest.mark.parametrize("size", [0, 1, 1535, 1536, 1537, 20_000])
def test_a_file_arrives_whole(size: int) -> None:
    content = bytes(i * i >> 3 & 255 for i in range(size))
    with Desktop(INTERPRETER) as board:
        board.put("folder/content.bin", content)
        assert board.exec("print(open('/memory/folder/content.bin', 'rb').read())") == f"{content!r}\n"
        with pytest.raises(RemoteError, match="OSError"):
            board.exec("open('/memory/other')")


def test_modules_and_packages_are_imported() -> None:
    with Desktop(INTERPRETER) as board:
        board.put("package/inner.py", b"NAME = 'inner'\n")
        board.put("alone.py", b"from package.inner import NAME\n")
        assert board.exec("import alone; print(alone.NAME)") == "inner\n"


def test_a_board_that_hangs_is_given_up_and_ended() -> None:
    with Desktop(INTERPRETER) as board:
        process = pid(board)
        with pytest.raises(BoardError, match="did not answer in time"):
            board.exec("while True: pass", within_s=0.2)
        assert not alive(process)
        with pytest.raises(BoardError, match="is not running"):
            board.exec("print(1)")


def test_a_board_that_ends_says_what_it_said() -> None:
    with Desktop(INTERPRETER) as board:
        process = pid(board)
        with pytest.raises(BoardError, match="last words"):
            board.exec("print('last words'); sys.exit()")
    assert not alive(process)


def test_what_is_no_micropython_is_refused_and_ended() -> None:
    board = Board(["cat"], greeting=b"hello")
    board.within_s = 0.2
    with pytest.raises(BoardError, match="hello"):
        board.__enter__()
    assert board.process is None


def test_the_process_ends_with_an_exception_of_the_caller_and_stands_still_between_calls() -> None:
    board = Desktop(INTERPRETER)
    processes = []

    def fail() -> None:
        with board:
            processes.append(pid(board))
            stopped(pid(board))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not alive(processes[0])


def test_bytes_that_the_protocol_keeps_for_itself_are_refused() -> None:
    with Desktop(INTERPRETER) as board, pytest.raises(ValueError, match="1 to 5"):
        board.exec("print('\x04')")
