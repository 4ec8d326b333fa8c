package files

import (
	"crypto/rand"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"cognitora/guest/internal/fault"
	"cognitora/guest/internal/users"
)

// Write is a file to be written whole or not at all.
type Write struct {
	Path  string // absolute, from Resolve
	Owner *users.User
	Mode  fs.FileMode
}

// From copies body into the file and returns its size.
func (w Write) From(body io.Reader) (int64, error) {
	return w.with(func(file *os.File) (int64, error) { return copyBody(file, body) })
}

// with writes a temporary file beside the target and renames it; on any error it is removed.
func (w Write) with(fill func(*os.File) (int64, error)) (size int64, err error) {
	path, err := target(w.Path)
	if err != nil {
		return 0, asFault(err, w.Path)
	}
	dir := filepath.Dir(path)
	if err := MakeDirs(dir, w.Owner); err != nil {
		return 0, asFault(err, w.Path)
	}
	temporary := dir + "/.cognitora-" + rand.Text()
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, asFault(err, w.Path)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary)
			err = asFault(err, w.Path)
		}
	}()
	size, err = w.finish(file, fill)
	if err != nil {
		return 0, err
	}
	return size, os.Rename(temporary, path)
}

func (w Write) finish(file *os.File, fill func(*os.File) (int64, error)) (int64, error) {
	size, err := fill(file)
	if err == nil {
		err = w.own(file)
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr // some file systems report a full disk only here
	}
	return size, err
}

func (w Write) own(file *os.File) error {
	if os.Geteuid() == 0 {
		if err := file.Chown(w.Owner.UID, w.Owner.GID); err != nil {
			return err
		}
	}
	return file.Chmod(w.Mode)
}

// copyBody tells an error of the request from one of the disk.
func copyBody(file *os.File, body io.Reader) (size int64, err error) {
	buffer := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buffer)
	for {
		n, readErr := fillBuffer(body, buffer[:])
		if n > 0 {
			if err := writeChunk(file, buffer[:n]); err != nil {
				return size, err
			}
			size += int64(n)
		}
		if readErr == io.EOF {
			return size, nil
		}
		if readErr != nil {
			return size, fault.BadRequest("The request body ended early, after %d bytes: nothing was written.", size)
		}
	}
}

// fillBuffer reads until the buffer is full or body errs; unlike io.ReadFull it keeps the
// reader's own error, so a cut body is not taken for a short one.
func fillBuffer(body io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var more int
		more, err = body.Read(buffer[n:])
		n += more
	}
	return n, err
}
