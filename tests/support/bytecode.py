"""A cost measure without a clock: bytecode instructions and calls of the package's own functions."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

import onebyone

PACKAGE = f"{Path(onebyone.__file__).parent}/"


class BytecodeCounter:
    """Counts what this thread executes of the package inside a `with` block.

    From Python 3.12 on, `sys.settrace` may report no opcodes of a frame that asks for them in its first call event;
    `sys.monitoring` reports all.
    """

    def __init__(self) -> None:
        self.instructions = 0
        self.calls = 0
        """Calls of functions, and resumptions of coroutines and generators."""

    def __enter__(self) -> BytecodeCounter:
        if sys.version_info >= (3, 12):
            _monitor(self)
        else:
            self._before = sys.gettrace()
            sys.settrace(self._trace)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if sys.version_info >= (3, 12):
            _stop_monitoring()
        else:
            sys.settrace(self._before)
        if error is None:
            assert self.instructions, f"nothing of {PACKAGE} was executed"
            assert self.calls, f"nothing of {PACKAGE} was called"

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            self.instructions += 1
        elif event == "call":
            self.calls += 1
        return self._trace


if sys.version_info >= (3, 12):
    _monitoring = sys.monitoring
    _TOOL = _monitoring.PROFILER_ID
    _EVENTS = _monitoring.events

    def _monitor(counter: BytecodeCounter) -> None:
        def called(code: CodeType, _: int) -> object:
            if not code.co_filename.startswith(PACKAGE):
                return _monitoring.DISABLE
            counter.calls += 1
            return None

        def executed(code: CodeType, _: int) -> object:
            if not code.co_filename.startswith(PACKAGE):
                return _monitoring.DISABLE
            counter.instructions += 1
            return None

        _monitoring.use_tool_id(_TOOL, "bytecode budget")
        for event in (_EVENTS.PY_START, _EVENTS.PY_RESUME):
            _monitoring.register_callback(_TOOL, event, called)
        _monitoring.register_callback(_TOOL, _EVENTS.INSTRUCTION, executed)
        _monitoring.set_events(_TOOL, _EVENTS.PY_START | _EVENTS.PY_RESUME | _EVENTS.INSTRUCTION)
        _monitoring.restart_events()

    def _stop_monitoring() -> None:
        _monitoring.set_events(_TOOL, _EVENTS.NO_EVENTS)
        _monitoring.free_tool_id(_TOOL)
