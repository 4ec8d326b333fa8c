// Package process starts programs in the sandbox, keeps their output and their end,
// and stops whole process trees.
package process

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"

	"cognitora/guest/internal/fault"
	"cognitora/guest/internal/ids"
)

// Bounds of a request.
const (
	DefaultHead = 1 << 20
	DefaultTail = 256 << 10
	MaxKeep     = 64 << 20
	maxTimeout  = int64(366 * 24 * time.Hour / time.Millisecond)
	maxPath     = 4096
)

// Marker is the environment variable that tells which process an orphan came from.
const Marker = "COGNITORA_PROCESS"

// Request says what to start. See spec/guest.yaml for the meaning of each field.
type Request struct {
	ID        string            `json:"id"`
	Argv      []string          `json:"argv"`
	Env       map[string]string `json:"env"`
	Cwd       string            `json:"cwd"`
	MakeCwd   bool              `json:"make_cwd"`
	User      string            `json:"user"`
	Stdin     string            `json:"stdin"`
	Stderr    string            `json:"stderr"`
	TimeoutMS int64             `json:"timeout_ms"`
	Output    Keep              `json:"output"`
}

// Keep says how much output stays in memory.
type Keep struct {
	HeadBytes *int `json:"head_bytes"`
	TailBytes *int `json:"tail_bytes"`
}

// check refuses what is out of bounds and fills in the defaults.
func (r *Request) check() error {
	if !ids.Valid(r.ID) {
		return fault.BadRequest("id must match %s.", ids.Form)
	}
	if len(r.Argv) == 0 || r.Argv[0] == "" {
		return fault.BadRequest("argv must name a command.")
	}
	for _, arg := range r.Argv {
		if strings.Contains(arg, "\x00") {
			return fault.BadRequest("argv must not contain NUL bytes.")
		}
	}
	if err := r.checkEnv(); err != nil {
		return err
	}
	if r.TimeoutMS < 0 || r.TimeoutMS > maxTimeout {
		return fault.BadRequest("timeout_ms must lie between 0 (none) and %d.", maxTimeout)
	}
	if err := r.checkChoices(); err != nil {
		return err
	}
	return r.Output.check()
}

func (r *Request) checkEnv() error {
	for name, value := range r.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return fault.BadRequest("env %q is not a valid variable: names need characters and no '=', and neither side may hold NUL.", name)
		}
	}
	return nil
}

func (r *Request) checkChoices() error {
	if r.Stdin == "" {
		r.Stdin = "null"
	}
	if r.Stderr == "" {
		r.Stderr = "separate"
	}
	if r.Stdin != "null" && r.Stdin != "pipe" {
		return fault.BadRequest("stdin must be null or pipe.")
	}
	if r.Stderr != "separate" && r.Stderr != "stdout" {
		return fault.BadRequest("stderr must be separate or stdout.")
	}
	if len(r.Cwd) > maxPath || strings.Contains(r.Cwd, "\x00") {
		return fault.New(400, "bad_cwd", "cwd must be at most %d bytes long, without NUL.", maxPath)
	}
	if !strings.HasPrefix(r.Cwd, "/") {
		r.Cwd = "/" + r.Cwd
	}
	return nil
}

func (k *Keep) check() error {
	head, tail := DefaultHead, DefaultTail
	if k.HeadBytes == nil {
		k.HeadBytes = &head
	}
	if k.TailBytes == nil {
		k.TailBytes = &tail
	}
	if *k.HeadBytes < 0 || *k.HeadBytes > MaxKeep || *k.TailBytes < 0 || *k.TailBytes > MaxKeep {
		return fault.BadRequest("output.head_bytes and output.tail_bytes must lie between 0 and %d.", MaxKeep)
	}
	return nil
}

// digest tells a repeated request from another one with the same id.
func (r *Request) digest() [sha256.Size]byte {
	encoded, _ := json.Marshal(r)
	return sha256.Sum256(encoded)
}
