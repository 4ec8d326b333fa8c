package boot

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Listen opens the listener that spec names: unix:/path makes a socket (mode 0600), fd:N
// takes an inherited one.
func Listen(spec string) (net.Listener, error) {
	kind, value, _ := strings.Cut(spec, ":")
	switch kind {
	case "unix":
		return listenUnix(value)
	case "fd":
		fd, err := strconv.Atoi(value)
		if err != nil || fd < 3 {
			return nil, fmt.Errorf("--listen fd:N needs the number of a descriptor above 2, not %q", value)
		}
		return adopt(fd)
	}
	return nil, fmt.Errorf("--listen must be unix:/path or fd:N, not %q", spec)
}

func listenUnix(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		_ = os.Remove(path) // left by an agent before us
	}
	old := syscall.Umask(0o177)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	listener.SetUnlinkOnClose(false)
	if err := pin(path); err != nil {
		return nil, err
	}
	return listener, nil
}

// pin holds the socket's file open for ever: in gVisor a socket stops taking connections when
// the mount that its file lies on goes, unless something still holds the file. The socket
// itself, not its directory: through that, /proc/1/fd would lead to what Hide takes away.
func pin(path string) error {
	const oPath = 0x200000
	if _, err := syscall.Open(path, oPath|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0); err != nil {
		return fmt.Errorf("cannot hold the socket %s open: %w", path, err)
	}
	return nil
}

// adopt takes over an inherited socket; net keeps a copy that children do not inherit.
func adopt(fd int) (net.Listener, error) {
	file := os.NewFile(uintptr(fd), "listener")
	if file == nil {
		return nil, fmt.Errorf("descriptor %d is not open", fd)
	}
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d is not a listening socket: %w", fd, err)
	}
	return listener, nil
}

const (
	sysCloseRange     = 436
	closeRangeCloexec = 4
)

// SealDescriptors marks every descriptor above 2 close-on-exec, also those that the agent
// was started with, so that no child inherits one.
func SealDescriptors() error {
	if _, _, errno := syscall.RawSyscall(sysCloseRange, 3, 1<<32-1, closeRangeCloexec); errno == 0 {
		return nil
	}
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("cannot list the open descriptors: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return err
}
