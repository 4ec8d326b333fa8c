// Package reaper starts child processes and collects every one that ends, our own
// and the orphans that PID 1 inherits, with one central wait.
package reaper

import (
	"errors"
	"sync"
	"syscall"
	"unsafe"
)

const (
	pAll    = 0
	wExited = 0x4
	wNoWait = 0x1000000
)

// Reaper owns wait4(-1) in this process: nothing else may wait for children.
type Reaper struct {
	// fork is read-held while a child is being made and write-held while children are
	// collected: a child cannot be collected before it is registered, and the wait inside
	// syscall.ForkExec (after a failed exec) cannot meet a reused process id.
	fork    sync.RWMutex
	mu      sync.Mutex
	waiters map[int]chan syscall.WaitStatus
	wake    chan struct{}
}

// New starts the collecting loop. Call it once per operating-system process.
func New() *Reaper {
	r := &Reaper{waiters: map[int]chan syscall.WaitStatus{}, wake: make(chan struct{}, 1)}
	go r.loop()
	return r
}

// Start runs a program and returns its id and a channel that gets its end, once.
func (r *Reaper) Start(path string, argv []string, attr *syscall.ProcAttr) (int, <-chan syscall.WaitStatus, error) {
	r.fork.RLock()
	defer r.fork.RUnlock()
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return 0, nil, err
	}
	ended := make(chan syscall.WaitStatus, 1)
	r.mu.Lock()
	r.waiters[pid] = ended
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return pid, ended, nil
}

// Owns says whether pid is a child that was started here and not yet collected.
func (r *Reaper) Owns(pid int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.waiters[pid]
	return ok
}

// Signal sends sig to a child of ours; ESRCH once it was collected, so that a reused
// process id is never hit.
func (r *Reaper) Signal(pid int, sig syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.waiters[pid]; !ok {
		return syscall.ESRCH
	}
	return syscall.Kill(pid, sig)
}

// SignalGroup sends sig at once to every process of the group that a child of ours leads;
// ESRCH once that child was collected.
func (r *Reaper) SignalGroup(pid int, sig syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.waiters[pid]; !ok {
		return syscall.ESRCH
	}
	return syscall.Kill(-pid, sig)
}

func (r *Reaper) loop() {
	for {
		err := waitAny()
		if errors.Is(err, syscall.ECHILD) {
			<-r.wake // no child at all: the next Start brings one
			continue
		}
		if err == nil {
			r.collect()
		}
	}
}

// collect takes everything that has ended.
func (r *Reaper) collect() {
	r.fork.Lock()
	defer r.fork.Unlock()
	for r.collectOne() {
	}
}

// collectOne frees a process id and forgets it under one lock, which Signal shares.
func (r *Reaper) collectOne() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if errors.Is(err, syscall.EINTR) {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	if ended, ok := r.waiters[pid]; ok {
		delete(r.waiters, pid)
		ended <- status
	}
	return true
}

// waitAny blocks until some child has ended and leaves it uncollected.
func waitAny() error {
	var info [128]byte
	_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pAll, 0, uintptr(unsafe.Pointer(&info)), wExited|wNoWait, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
