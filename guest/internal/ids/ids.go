// Package ids knows the form of the names that the host chooses.
package ids

import "strings"

// Form describes it in messages.
const Form = "^[A-Za-z0-9_-]{1,64}$"

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// Valid says whether id has the form. Without package regexp, whose set-up would be on the
// path of every container's start.
func Valid(id string) bool {
	return len(id) >= 1 && len(id) <= 64 && strings.Trim(id, alphabet) == ""
}
