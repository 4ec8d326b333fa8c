// Command agent is the guest agent of Cognitora: PID 1 of a sandbox, which runs processes
// and moves files for the host. See guest/README.md.
package main

import (
	"fmt"
	"os"

	"cognitora/guest/internal/boot"
	"cognitora/guest/internal/server"
)

// version is set by scripts/build-guest.
var version = "dev"

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "init":
			fail(runInit(os.Args[2:]))
		case "version":
			fmt.Printf("cognitora guest agent %s, protocol %d\n", version, server.Protocol)
			return
		}
	}
	fmt.Fprint(os.Stderr, boot.Usage)
	os.Exit(2)
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "agent: %v\n", err)
	os.Exit(1)
}
