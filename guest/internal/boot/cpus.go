package boot

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

const (
	maxCPUs    = 8192
	maxWorkers = 4  // the agent needs no more processors than this for itself
	spare      = 12 // threads kept ready
)

type cpuSet [maxCPUs / 64]uint64

// LimitCPUs lets the agent, and with it all it starts, use n of the allowed processors,
// chosen at random, so that many sandboxes spread over the machine.
func LimitCPUs(n int) error {
	allowed, size, err := affinity()
	if err != nil {
		return fmt.Errorf("cannot read the allowed processors: %w", err)
	}
	if n == 0 || n >= allowed.count() {
		return nil
	}
	chosen := allowed.choose(n)
	_, _, errno := syscall.AllThreadsSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, size, uintptr(unsafe.Pointer(&chosen)))
	if errno != 0 {
		return fmt.Errorf("cannot limit the sandbox to %d processors: %w", n, errno)
	}
	return nil
}

// AllowedCPUs counts the processors that the sandbox may use.
func AllowedCPUs() int {
	allowed, _, err := affinity()
	if err != nil {
		return runtime.NumCPU()
	}
	return allowed.count()
}

func affinity() (set cpuSet, size uintptr, err error) {
	size, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set)))
	if errno != 0 {
		return set, 0, errno
	}
	return set, size, nil
}

func (s *cpuSet) count() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

func (s *cpuSet) choose(n int) (chosen cpuSet) {
	var cpus []int
	for cpu := range maxCPUs {
		if s[cpu/64]&(1<<(cpu%64)) != 0 {
			cpus = append(cpus, cpu)
		}
	}
	for _, i := range rand.Perm(len(cpus))[:n] {
		chosen[cpus[i]/64] |= 1 << (cpus[i] % 64)
	}
	return chosen
}

// TuneRuntime keeps the agent small beside its workload.
func TuneRuntime() {
	if runtime.GOMAXPROCS(0) > maxWorkers {
		runtime.GOMAXPROCS(maxWorkers)
	}
}

// SpareThreads makes threads ahead of need. The Go runtime ends the program when it cannot
// make one, which a workload that forks up to the sandbox's limit would bring about.
func SpareThreads() {
	var ready, done sync.WaitGroup
	release := make(chan struct{})
	ready.Add(spare)
	done.Add(spare)
	for range spare {
		go func() {
			runtime.LockOSThread()
			ready.Done()
			<-release
			runtime.UnlockOSThread() // the thread stays, idle
			done.Done()
		}()
	}
	ready.Wait()
	close(release)
	done.Wait()
}
