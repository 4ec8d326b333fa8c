package files

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"cognitora/guest/internal/fault"
	"cognitora/guest/internal/ids"
)

const copyChunk = 16 << 20

// Inbox is the directory where the host places files to be imported. It is held open, so
// that it works after the directory was hidden from the sandbox.
type Inbox struct{ fd int }

// OpenInbox opens the directory.
func OpenInbox(dir string) (*Inbox, error) {
	const path = 0x200000 // O_PATH
	fd, err := syscall.Open(dir, path|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	return &Inbox{fd: fd}, err
}

// FromInbox copies the file that the host placed as name.
func (w Write) FromInbox(inbox *Inbox, name string) (int64, error) {
	source, err := inbox.open(name)
	if err != nil {
		return 0, err
	}
	defer source.Close()
	return w.with(func(file *os.File) (int64, error) { return copyFile(file, source) })
}

func (i *Inbox) open(name string) (*os.File, error) {
	if !ids.Valid(name) {
		return nil, fault.BadRequest("source must match %s.", ids.Form)
	}
	if i == nil {
		return nil, fault.New(404, "no_inbox", "This agent was started without an inbox: send the file as the request body.")
	}
	fd, err := syscall.Openat(i.fd, name, syscall.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fault.New(404, "source_not_found", "The inbox has no file %s: %v.", name, err)
	}
	file := os.NewFile(uintptr(fd), name)
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		file.Close()
		return nil, fault.New(404, "source_not_found", "The inbox entry %s is not a regular file.", name)
	}
	return file, nil
}

// copyFile lets the kernel copy where it can.
func copyFile(target, source *os.File) (size int64, err error) {
	for {
		n, err := onDisk(func() (int, error) { return copyRange(target, source) })
		size += int64(n)
		if err != nil && size == 0 && kernelCannot(err) {
			return copyBody(target, diskReader{source})
		}
		if err != nil {
			return size, &fs.PathError{Op: "copy", Path: source.Name(), Err: err}
		}
		if n == 0 {
			// The end; or a file system that reports it too early, which a plain read settles.
			rest, err := copyBody(target, diskReader{source})
			return size + rest, err
		}
	}
}

func copyRange(target, source *os.File) (int, error) {
	for {
		n, _, errno := syscall.Syscall6(sysCopyFileRange, source.Fd(), 0, target.Fd(), 0, copyChunk, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	}
}

func kernelCannot(err error) bool {
	for _, known := range []error{syscall.ENOSYS, syscall.EXDEV, syscall.EINVAL, syscall.EOPNOTSUPP, syscall.EPERM, syscall.EIO} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
