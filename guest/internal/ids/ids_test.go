package ids

import (
	"strings"
	"testing"
)

func TestValid(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "A-z_09": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a/b": false, "..": false, "a\n": false, "a.b": false, "é": false, "a\x00b": false, "a b": false,
	} {
		if Valid(id) != want {
			t.Errorf("%q: want %v", id, want)
		}
	}
}
