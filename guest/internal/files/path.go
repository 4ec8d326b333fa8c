// Package files moves whole files into and out of the sandbox.
package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"cognitora/guest/internal/fault"
	"cognitora/guest/internal/users"
)

const (
	maxPath      = 4096
	maxComponent = 255
	maxLinks     = 40
)

// Resolve checks path and makes it absolute against cwd (default /), without "." and "..".
func Resolve(path, cwd string) (string, error) {
	if path == "" {
		return "", badPath("it is empty")
	}
	if cwd == "" {
		cwd = "/"
	}
	if !strings.HasPrefix(path, "/") {
		path = cwd + "/" + path
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	switch {
	case strings.Contains(path, "\x00"):
		return "", badPath("it contains a NUL byte")
	case len(path) > maxPath:
		return "", badPath("it is longer than 4096 bytes")
	}
	for component := range strings.SplitSeq(path, "/") {
		if len(component) > maxComponent {
			return "", badPath("a part of it is longer than 255 bytes")
		}
	}
	return clean(path), nil
}

// clean resolves "." and ".." by name. What can only be a directory keeps a slash at its end.
func clean(path string) string {
	cleaned := filepath.Clean(path)
	for _, ending := range []string{"/", "/.", "/.."} {
		if strings.HasSuffix(path, ending) && cleaned != "/" {
			return cleaned + "/"
		}
	}
	return cleaned
}

// MakeDirs makes dir (clean, absolute) and its missing parents, which then belong to owner.
func MakeDirs(dir string, owner *users.User) error {
	info, err := os.Stat(dir)
	if err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := MakeDirs(filepath.Dir(dir), owner); err != nil {
		return err
	}
	err = os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil // made meanwhile by somebody else
	}
	if err != nil {
		return err
	}
	return chown(dir, owner)
}

// chown gives path to owner; an agent without root leaves it its own.
func chown(path string, owner *users.User) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(path, owner.UID, owner.GID)
}

// target follows links in the last part of path, so that writing through a link writes
// what it points to, and refuses what a file cannot replace.
func target(path string) (string, error) {
	if strings.HasSuffix(path, "/") {
		return "", isDirectory(path)
	}
	for range maxLinks {
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return path, nil
		case err != nil:
			return "", err
		case info.IsDir():
			return "", isDirectory(path)
		case info.Mode().IsRegular():
			return path, nil
		case info.Mode()&fs.ModeSymlink == 0:
			return "", notRegular(path)
		}
		link, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !strings.HasPrefix(link, "/") {
			link = filepath.Dir(path) + "/" + link
		}
		path = link
	}
	return "", badPath("it has too many symbolic links")
}

// asFault names what went wrong with path.
func asFault(err error, path string) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	if full := fault.Resources(err); full != nil {
		return full
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(404, "not_found", "The file %s does not exist.", clip(path))
	case errors.Is(err, syscall.EISDIR):
		return isDirectory(path)
	case errors.Is(err, syscall.ENOTDIR):
		return fault.New(409, "not_directory", "A part of the path %s is not a directory.", clip(path))
	case errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ELOOP):
		return badPath("it is too long or has too many symbolic links")
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fault.New(403, "forbidden", "The path %s cannot be used: it is read-only or not permitted here.", clip(path))
	case errors.Is(err, syscall.EFBIG):
		return fault.New(507, "no_space", "The file %s is larger than its file system allows.", clip(path))
	}
	return fault.New(500, "internal", "The file %s could not be used: %v.", clip(path), err)
}

func badPath(why string) error {
	return fault.New(400, "bad_path", "The path cannot be used: %s.", why)
}

func isDirectory(path string) error {
	return fault.New(409, "is_directory", "The path %s is a directory: name a file.", clip(path))
}

func notRegular(path string) error {
	return fault.New(409, "not_regular", "The path %s is not a regular file.", clip(path))
}

func clip(text string) string {
	if len(text) > 300 {
		return strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}
