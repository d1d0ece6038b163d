//go:build linux

package bridge

import (
	"bytes"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// entry is a line of the index.
type entry struct {
	Name, Count, Text, Link string
}

// listed is a line in the answer of the command profile: the name of a profile, how many
// entries it has, if that is known, and what it is.
var listed = regexp.MustCompile(`^(\S.*?) +(\d+)?  (\S.*)$`)

// parseIndex parses the answer of the command profile.
func parseIndex(text string) (entries []entry) {
	for line := range strings.Lines(text) {
		m := listed.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue // the advice at its end
		}
		e := entry{Name: m[1], Count: m[2], Text: m[3], Link: "./" + url.PathEscape(m[1]) + "?debug=1"}
		if e.Name == "cpu" { // net/http/pprof has it as profile
			e.Name, e.Link = "profile", "./profile"
		}
		entries = append(entries, e)
	}
	return entries
}

var indexPage = template.Must(template.New("").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>/debug/pprof/</title>
<style>td { padding: 0 1em 0 0 } td.n { text-align: right }</style></head>
<body>
<h1>/debug/pprof/</h1>
<p>Each of these is recorded when you open it, through the manhole of the program.
Set debug=1 as a query parameter to see a profile as text.</p>
<table>
<tr><th>Count</th><th>Profile</th><th></th></tr>
{{range .}}<tr><td class="n">{{.Count}}</td><td><a href="{{.Link}}">{{.Name}}</a></td><td>{{.Text}}</td></tr>
{{end}}<tr><td></td><td><a href="trace?seconds=1">trace</a></td><td>an execution trace, for go tool trace</td></tr>
<tr><td></td><td><a href="cmdline">cmdline</a></td><td>the arguments of the program</td></tr>
</table>
<p><a href="goroutine?debug=2">full goroutine stack dump</a></p>
</body>
</html>
`))

func (b bridge) index(w http.ResponseWriter, r *http.Request) {
	var list, page bytes.Buffer
	err := b.program.Run(r.Context(), &list, "profile")
	if err == nil {
		err = indexPage.Execute(&page, parseIndex(list.String()))
	}
	if err != nil {
		b.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = w.Write(page.Bytes())
}
