//go:build unix

package htmlreport

import (
	"crypto/sha256"
	_ "embed" // for the files of the page
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"time"
)

//go:embed page.html
var pageText string

//go:embed style.css
var style string

//go:embed groups.js
var groupsScript string

//go:embed flame.js
var flameScript string

// script is all of the page's own code. Its data is in elements of another type, which the
// browser does not run.
var script = "\"use strict\";\n" + groupsScript + flameScript

// policy is the Content-Security-Policy of the page: nothing is loaded, no form is sent, and
// the only style and script are those with these hashes.
var policy = fmt.Sprintf("default-src 'none'; base-uri 'none'; form-action 'none'; style-src '%s'; script-src '%s'", hashOf(style), hashOf(script))

// hashOf returns the hash of a style or script (CSP Level 2, section 4.2.5).
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"plain":   func(s string) string { return plain(clip(s, 2*maxName)) },
	"bytes":   func(n int64) string { return size(uint64(max(n, 0))) },
	"seconds": func(s float64) string { return duration(s) },
}).Parse(pageText))

// duration writes a number of seconds.
func duration(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(10 * time.Microsecond)
	}
	return d.String()
}

func (r *report) write(w io.Writer) error {
	data, err := json.Marshal(r.Data) // it escapes <, > and &, so that no text ends the element
	if err != nil {
		return err
	}
	return page.Execute(w, map[string]any{
		"R": r, "Policy": policy, "Style": template.CSS(style), "Script": template.JS(script), "Data": template.JS(data),
	})
}
