//go:build linux

package htmlreport

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fdsOf returns the JSON of the command fds.
func fdsOf(open int, rows ...object) object {
	return object{"schema": "oneshot/fds", "version": 1, "open": open, "limit": 1024, "kinds": object{"file": 1, "tcp": open - 1}, "fds": rows}
}

func TestDescriptorsAreATable(t *testing.T) {
	page := pageOf(t, bundleOf(t, parts{"fds.txt": "10 of 1024: 4 file", "fds.json": fdsOf(3,
		object{"fd": 3, "kind": "tcp", "state": "ESTABLISHED", "target": "10.0.0.1:80 -> 10.0.0.2:9", "detail": "receive queue 5"},
		object{"fd": 4, "kind": "file", "target": "/tmp/\x1b[2Jx<y>", "size": 2048, "deleted": true, "inherited": true},
	)}))
	for _, text := range []string{
		`<dt>open</dt><dd>3 of 1024</dd></div><div><dt>tcp</dt><dd>2</dd></div><div><dt>file</dt><dd>1</dd>`,
		`<tr><th scope="row" class="n">3</th><td>tcp</td><td>ESTABLISHED</td><td class="long mono">10.0.0.1:80 -&gt; 10.0.0.2:9</td><td class="long">receive queue 5</td></tr>`,
		`<td class="long mono">/tmp/\u001b[2Jx&lt;y&gt;</td><td class="long">2 KiB, deleted, inherited by children</td>`,
		"<p class=\"remark\">Not in the table: 1 more.</p>", `<a href="#descriptors">`,
	} {
		require.True(t, strings.Contains(page, text), text)
	}
	require.False(t, strings.Contains(page, "10 of 1024: 4 file"), "the table has it all")
}

func TestTheTableOfDescriptorsIsBounded(t *testing.T) {
	for target, want := range map[string]int{"10.0.0.1:80": maxRows, strings.Repeat("x", 5000): firstLimits.text / 2 / (maxCell + len("...tcp"))} {
		var rows []object
		for i := range 5000 {
			rows = append(rows, object{"fd": i, "kind": "tcp", "target": target})
		}
		page := pageOf(t, bundleOf(t, parts{"fds.json": fdsOf(70_000, rows...)}))
		require.Equal(t, want, strings.Count(page, "<td>tcp</td>"))
		require.True(t, strings.Contains(page, fmt.Sprintf(">Not in the table: %d more.<", 70_000-want)))
		require.False(t, strings.Contains(page, strings.Repeat("x", maxCell+1)))
	}
}

// Without a table that can be read, the text is shown.
func TestDescriptorsAsText(t *testing.T) {
	for _, fds := range []any{nil, "[1", object{"schema": "oneshot/threads"}} {
		all := parts{"fds.txt": "10 of 1024: 4 file"}
		if fds != nil {
			all["fds.json"] = fds
		}
		page := pageOf(t, bundleOf(t, all))
		require.True(t, strings.Contains(page, "<pre tabindex=\"0\">10 of 1024: 4 file</pre>"))
		require.False(t, strings.Contains(page, "Table of the descriptors"))
	}
}
