package procfs

import (
	"bytes"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// No environment is longer: the kernel bounds arguments and environment to 6 MiB.
const maxEnviron = 6 << 20

// HasEnviron says whether the process was started with the line "NAME=value" in its environment.
func HasEnviron(pid int, line string) bool {
	environ, err := openAsOwner(pid, "/proc/"+strconv.Itoa(pid)+"/environ")
	if err != nil {
		return false
	}
	defer environ.Close()
	data, _ := io.ReadAll(io.LimitReader(environ, maxEnviron))
	for entry := range bytes.SplitSeq(data, []byte{0}) {
		if string(entry) == line {
			return true
		}
	}
	return false
}

// openAsOwner opens a file of /proc/PID. Without CAP_SYS_PTRACE root may not read the
// environment of another user's process, so a refused open is tried again as that user.
func openAsOwner(pid int, path string) (*os.File, error) {
	file, err := os.Open(path)
	if err == nil || !os.IsPermission(err) {
		return file, err
	}
	uid, gid, ok := owner(pid)
	if !ok {
		return nil, err
	}
	AsUser(uid, gid, func() { file, err = os.Open(path) })
	return file, err
}

// AsUser runs do with the file-system identity of another user, on this thread only.
func AsUser(uid, gid int, do func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	oldGID, _, _ := syscall.RawSyscall(syscall.SYS_SETFSGID, uintptr(gid), 0, 0)
	oldUID, _, _ := syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(uid), 0, 0)
	defer func() {
		_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, oldUID, 0, 0)
		_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSGID, oldGID, 0, 0)
	}()
	do()
}

// owner returns the real user and group of a process.
func owner(pid int) (uid, gid int, ok bool) {
	var buffer [4096]byte
	status, err := readInto(buffer[:], "/proc/"+strconv.Itoa(pid)+"/status")
	if err != nil {
		return 0, 0, false
	}
	found := 0
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "Uid:":
			uid, err = strconv.Atoi(fields[1])
		case "Gid:":
			gid, err = strconv.Atoi(fields[1])
		default:
			continue
		}
		if err != nil {
			return 0, 0, false
		}
		found++
	}
	return uid, gid, found == 2
}
