//go:build linux

package pprofui

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"
)

func open(t *testing.T, change func(*profile.Profile)) http.Handler {
	t.Helper()
	var data bytes.Buffer
	require.NoError(t, pprof.Lookup("goroutine").WriteTo(&data, 0))
	p, err := profile.ParseData(data.Bytes())
	require.NoError(t, err)
	change(p)
	t.Setenv("HOME", t.TempDir())
	t.Setenv("PPROF_TMPDIR", "")
	var errs bytes.Buffer
	h, err := Handler(p, &errs)
	require.NoError(t, err)
	require.Empty(t, errs.String(), "nothing is saved")
	return h
}

func get(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

// The names in a profile are those of a program that may be hostile. A browser must not
// run them, and no page may open a file that they name.
func TestAHostileProfileDoesNoHarm(t *testing.T) {
	h := open(t, func(p *profile.Profile) {
		for _, f := range p.Function {
			f.Name, f.Filename = "<script>alert(1)</script></style>"+f.Name, "/etc/passwd"
		}
		for _, m := range p.Mapping {
			m.File = "/etc/passwd"
		}
	})
	for _, page := range []string{"/flamegraph", "/top", "/peek?f=."} {
		w := get(h, http.MethodGet, page)
		require.Equal(t, http.StatusOK, w.Code, page)
		require.False(t, strings.Contains(w.Body.String(), "<script>alert"), page)
		require.False(t, strings.Contains(w.Body.String(), "root:"), page)
	}
	for _, page := range []string{"/source?f=.", "/disasm?f=.", "/saveconfig?config=x", "/deleteconfig?config=x"} {
		require.Equal(t, http.StatusForbidden, get(h, http.MethodGet, page).Code, page)
	}
	require.Equal(t, http.StatusMethodNotAllowed, get(h, http.MethodPost, "/saveconfig?config=x").Code)
	require.Equal(t, http.StatusNotFound, get(h, http.MethodGet, "/nosuch").Code)
	require.Equal(t, "flamegraph", get(h, http.MethodGet, "/").Header().Get("Location"), "relative, so that a token may come before it")
}
