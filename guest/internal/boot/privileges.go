package boot

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

const (
	mntDetach      = 2
	capSysAdmin    = 21
	capVersion3    = 0x20080522
	prSetDumpable  = 4
	prCapbsetRead  = 23
	prCapbsetDrop  = 24
	prSetSubreaper = 36
)

type capHeader struct {
	version uint32
	pid     int32
}

type capData struct{ effective, permitted, inheritable uint32 }

// Hide unmounts directories, so that workloads cannot reach what lies in them.
func Hide(dirs []string) error {
	for _, dir := range dirs {
		if err := syscall.Unmount(dir, mntDetach); err != nil {
			return fmt.Errorf("cannot hide %s (it must be a mount point, and the agent needs CAP_SYS_ADMIN until then): %w", dir, err)
		}
	}
	return nil
}

// DropSysAdmin takes CAP_SYS_ADMIN from all capability sets of all threads: workloads must
// never have it.
func DropSysAdmin() error {
	header := capHeader{version: capVersion3}
	var data [2]capData
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0); errno != 0 {
		return fmt.Errorf("cannot read the capabilities: %w", errno)
	}
	const bit = uint32(1) << capSysAdmin
	if bounded, _, _ := syscall.RawSyscall(syscall.SYS_PRCTL, prCapbsetRead, capSysAdmin, 0); bounded == 1 {
		_, _, errno := syscall.AllThreadsSyscall(syscall.SYS_PRCTL, prCapbsetDrop, capSysAdmin, 0)
		// On a plain host, for tests, it may run as a user that cannot.
		if errno != 0 && os.Getpid() == 1 {
			return fmt.Errorf("cannot drop CAP_SYS_ADMIN from the bounding set (this needs CAP_SETPCAP): %w", errno)
		}
	}
	if (data[0].effective|data[0].permitted|data[0].inheritable)&bit == 0 {
		return nil
	}
	data[0].effective &^= bit
	data[0].permitted &^= bit
	data[0].inheritable &^= bit // the kernel takes it from the ambient set with this
	if _, _, errno := syscall.AllThreadsSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0); errno != 0 {
		return fmt.Errorf("cannot drop CAP_SYS_ADMIN: %w", errno)
	}
	return nil
}

// Shield keeps workloads from looking into the agent through /proc or ptrace, and makes
// their orphans its children even where it is not PID 1.
func Shield() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, 0, 0)
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetSubreaper, 1, 0)
	syscall.Umask(0o022)
}
