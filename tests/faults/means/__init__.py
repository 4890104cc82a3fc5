"""How faults are made: signals, injected system calls, wires that lose packets, disks that are full or gone, clocks."""
