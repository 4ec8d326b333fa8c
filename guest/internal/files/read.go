package files

import (
	"bytes"
	"io"
	"os"
	"syscall"
)

// Of a file that claims to be empty this much is tried: those of /proc do.
const maxUnsized = 4 << 20

// Content is an open regular file and its size.
type Content struct {
	io.Reader
	Size int64
	file *os.File
}

// Close closes the file.
func (c *Content) Close() { _ = c.file.Close() }

// Open opens a regular file for reading; nothing at path can make it hang.
func Open(path string) (*Content, error) {
	// A look first: opening a device or a FIFO can have effects.
	if info, err := os.Stat(path); err != nil {
		return nil, asFault(err, path)
	} else if info.IsDir() {
		return nil, isDirectory(path)
	} else if !info.Mode().IsRegular() {
		return nil, notRegular(path)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, asFault(err, path)
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		file.Close()
		return nil, notRegular(path)
	}
	return measured(file, info.Size(), path)
}

func measured(file *os.File, size int64, path string) (*Content, error) {
	content := &Content{Reader: io.LimitReader(diskReader{file}, size), Size: size, file: file}
	if size > 0 {
		return content, nil
	}
	data, err := io.ReadAll(io.LimitReader(diskReader{file}, maxUnsized))
	if err != nil {
		content.Close()
		return nil, asFault(err, path)
	}
	content.Reader, content.Size = bytes.NewReader(data), int64(len(data))
	return content, nil
}

// CopyTo sends the content with large buffers.
func (c *Content) CopyTo(w io.Writer) (int64, error) {
	buffer := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buffer)
	return io.CopyBuffer(onlyWriter{w}, onlyReader{c.Reader}, buffer[:])
}

// These hide WriteTo and ReadFrom, which would bring buffers of their own.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)
