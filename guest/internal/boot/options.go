// Package boot turns the process into the sandbox's PID 1: arguments, listener, hidden
// directories, privileges, processors and signals.
package boot

import (
	"fmt"
	"strconv"
	"strings"
)

// Options are the arguments of `agent init`.
type Options struct {
	Listen string   // unix:/path or fd:N
	Hide   []string // directories to unmount once the agent listens
	Inbox  string   // directory of files to import; "" for none
	CPUs   int      // processors to keep; 0 for all
}

// Usage is the help text.
const Usage = `usage: agent init --listen unix:/path|fd:N [--hide DIR]... [--inbox DIR] [--cpus N]
       agent version
`

// ParseOptions reads the arguments after `init`; both "--name value" and "--name=value" will do.
func ParseOptions(args []string) (Options, error) {
	var o Options
	for len(args) > 0 {
		name, value, joined := strings.Cut(args[0], "=")
		args = args[1:]
		if !joined {
			if len(args) == 0 {
				return o, fmt.Errorf("%s needs a value", name)
			}
			value, args = args[0], args[1:]
		}
		if err := o.set(name, value); err != nil {
			return o, err
		}
	}
	if o.Listen == "" {
		return o, fmt.Errorf("--listen is missing")
	}
	return o, nil
}

func (o *Options) set(name, value string) error {
	switch name {
	case "--listen":
		o.Listen = value
	case "--inbox":
		o.Inbox = value
	case "--hide", "--cpus":
	default:
		return fmt.Errorf("unknown option %q", name)
	}
	if value == "" {
		return fmt.Errorf("%s needs a value", name)
	}
	if name == "--hide" {
		if !strings.HasPrefix(value, "/") {
			return fmt.Errorf("--hide needs an absolute path, not %q", value)
		}
		o.Hide = append(o.Hide, value)
	}
	if name == "--cpus" {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > maxCPUs {
			return fmt.Errorf("--cpus needs a number from 1 to %d, not %q", maxCPUs, value)
		}
		o.CPUs = n
	}
	return nil
}
