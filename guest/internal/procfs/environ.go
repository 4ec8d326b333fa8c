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

// AsUser runs do as another user, on one thread only, which keeps 0 as its saved user and so
// can come back. All three ids matter: Linux asks for the file-system id, gVisor for the real one.
func AsUser(uid, gid int, do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		oldUID, oldGID := os.Getuid(), os.Getgid()
		become(syscall.SYS_SETRESGID, gid)
		become(syscall.SYS_SETRESUID, uid)
		do()
		if become(syscall.SYS_SETRESUID, oldUID) && become(syscall.SYS_SETRESGID, oldGID) {
			runtime.UnlockOSThread() // else the thread ends with this goroutine
		}
	}()
	<-done
}

// become sets the real and the effective id of this thread.
func become(call uintptr, id int) bool {
	_, _, errno := syscall.RawSyscall(call, uintptr(id), uintptr(id), ^uintptr(0))
	return errno == 0
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
