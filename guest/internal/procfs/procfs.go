// Package procfs reads the process table.
package procfs

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// Process is one line of the process table.
type Process struct {
	PID, Parent, Group, Session int
	State                       byte
	CPU, Reaped                 int64 // ticks of CPU time: its own, and that of children it has waited for
}

// Zombie says whether the process has ended and only waits to be collected.
func (p Process) Zombie() bool { return p.State == 'Z' || p.State == 'X' }

// Snapshot lists all processes. Those that end meanwhile are left out.
func Snapshot() ([]Process, error) {
	pids, err := PIDs()
	if err != nil {
		return nil, err
	}
	processes := make([]Process, 0, len(pids))
	var buffer [1024]byte
	for _, pid := range pids {
		line, err := readInto(buffer[:], "/proc/"+strconv.Itoa(pid)+"/stat")
		if err != nil {
			continue
		}
		if p, ok := parseStat(pid, line); ok {
			processes = append(processes, p)
		}
	}
	return processes, nil
}

// PIDs lists the ids of all processes.
func PIDs() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	pids := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// parseStat reads "pid (name) state ppid pgrp session …"; the name may hold anything.
func parseStat(pid int, line []byte) (Process, bool) {
	end := bytes.LastIndexByte(line, ')')
	if end < 0 {
		return Process{}, false
	}
	fields := bytes.Fields(line[end+1:])
	if len(fields) < 15 || len(fields[0]) != 1 {
		return Process{}, false
	}
	parent, err1 := strconv.Atoi(string(fields[1]))
	group, err2 := strconv.Atoi(string(fields[2]))
	session, err3 := strconv.Atoi(string(fields[3]))
	if err1 != nil || err2 != nil || err3 != nil {
		return Process{}, false
	}
	p := Process{PID: pid, Parent: parent, Group: group, Session: session, State: fields[0][0]}
	p.CPU, p.Reaped = ticks(fields[11:13]), ticks(fields[13:15])
	return p, true
}

// ticks adds up the time as user and the time in the kernel.
func ticks(fields [][]byte) (sum int64) {
	for _, field := range fields {
		value, _ := strconv.ParseInt(string(field), 10, 64)
		sum += value
	}
	return sum
}

// readInto reads a small file without allocating; the poller has no part in it.
func readInto(buffer []byte, path string) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	n, err := syscall.Read(fd, buffer)
	return buffer[:max(n, 0)], err
}
