//go:build linux

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gomanhole/oneshot/internal/testpage"
)

// TestTheClientPage requires that docs/client.md has the help text of each command.
func TestTheClientPage(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "```\n%s```\n\n", overview())
	fmt.Fprintf(&b, "### connect\n\nA session, or one command.\n\n```\n%s```\n\n", connectHelp)
	for _, c := range subcommands() {
		fmt.Fprintf(&b, "### %s\n\nTo %s.\n\n```\n%s```\n\n", c.name, c.summary, c.help)
	}
	testpage.Require(t, "../../docs/client.md", b.String())
}
