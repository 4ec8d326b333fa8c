// Package traffic counts the bytes that went into and came out of all processes that the host started.
package traffic

import "sync/atomic"

// Input counts what was written to standard inputs, Output what was read from both outputs, kept or not.
var Input, Output atomic.Int64
