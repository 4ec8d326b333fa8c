// Package fault is the one kind of error that leaves the agent: a sentence that
// says what to do, a stable machine word, and the HTTP status that carries them.
package fault

import (
	"errors"
	"fmt"
	"syscall"
)

// Error is an answer to the host. Code never changes its meaning within a protocol version.
type Error struct {
	Status  int
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Message }

// New makes an Error; format and args give its sentence.
func New(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// BadRequest is the error of a request whose form is wrong.
func BadRequest(format string, args ...any) *Error {
	return New(400, "bad_request", format, args...)
}

// Of turns any error into an Error; one that is not known already becomes `internal`.
func Of(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	if full := Resources(err); full != nil {
		return full
	}
	return New(500, "internal", "The guest agent failed: %v.", err)
}

// Resources names the error of an exhausted sandbox (disk, memory, processes, descriptors), else nil.
func Resources(err error) *Error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return New(507, "no_space", "The disk of the sandbox is full: delete files or give it more storage.")
	case errors.Is(err, syscall.EAGAIN):
		return New(503, "no_processes", "The sandbox has reached its limit of processes: end some, then try again.")
	case errors.Is(err, syscall.ENOMEM):
		return New(503, "no_memory", "The sandbox has no memory left for this: end processes or give it more memory.")
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return New(503, "no_descriptors", "The sandbox has no file descriptors left: end processes, then try again.")
	}
	return nil
}
