package command

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gomanhole/oneshot/internal/testpage"
)

// TestTheConsolePage requires that docs/console.md describes each command as help does.
func TestTheConsolePage(t *testing.T) {
	var b strings.Builder
	for _, c := range Completions() {
		usage := strings.TrimSpace(c.Name + " " + c.Args)
		fmt.Fprintf(&b, "### %s\n\n`%s`: %s.\n\n", c.Name, usage, c.Summary)
		if c.Help != "" {
			fmt.Fprintf(&b, "```\n%s\n```\n\n", c.Help)
		}
	}
	testpage.Require(t, "../../docs/console.md", b.String())
}
