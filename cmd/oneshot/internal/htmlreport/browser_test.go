//go:build linux

package htmlreport

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// tab is a tab of a headless Chromium, which is driven through its pipes with the DevTools
// protocol.
type tab struct {
	t       *testing.T
	in      *os.File
	out     *bufio.Reader
	session string
	id      int
	wrong   []string // what the browser has complained about
}

// openTab starts a browser and opens a page.
func openTab(t *testing.T, page string) *tab {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && path == "" {
			path = found
		}
	}
	if path == "" {
		t.Skip("there is no chromium, chromium-browser or google-chrome on the PATH; install chromium")
	}
	dir := testwait.TempDir(t)
	file := filepath.Join(dir, "page.html")
	require.NoError(t, os.WriteFile(file, []byte(page), 0o600))
	theirIn, ourOut, err := os.Pipe()
	require.NoError(t, err)
	ourIn, theirOut, err := os.Pipe()
	require.NoError(t, err)
	cmd := testwait.Command(t, path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--user-data-dir="+filepath.Join(dir, "profile"))
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		ourOut.Close() // the browser ends then
		_ = cmd.Wait()
		ourIn.Close()
	})
	theirIn.Close()
	theirOut.Close()
	testwait.Deadline(t, ourIn)
	b := &tab{t: t, in: ourOut, out: bufio.NewReader(ourIn)}
	target := b.call("Target.createTarget", object{"url": "about:blank"})["targetId"]
	b.session = b.call("Target.attachToTarget", object{"targetId": target, "flatten": true})["sessionId"].(string)
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil)
	}
	b.call("Page.navigate", object{"url": "file://" + file})
	b.until(`document.readyState === "complete" && location.href !== "about:blank"`)
	return b
}

// call calls a method of the browser and returns its result.
func (b *tab) call(method string, params object) object {
	b.t.Helper()
	b.id++
	data, err := json.Marshal(object{"id": b.id, "method": method, "params": params, "sessionId": b.session})
	if b.session == "" {
		data, err = json.Marshal(object{"id": b.id, "method": method, "params": params})
	}
	require.NoError(b.t, err)
	_, err = b.in.Write(append(data, 0))
	require.NoError(b.t, err)
	for {
		text, err := b.out.ReadBytes(0)
		require.NoError(b.t, err, method)
		var answer struct {
			ID     int
			Method string
			Params json.RawMessage
			Result object
			Error  any
		}
		require.NoError(b.t, json.Unmarshal(text[:len(text)-1], &answer))
		switch {
		case answer.ID == b.id:
			require.Nil(b.t, answer.Error, method)
			return answer.Result
		case answer.Method == "Runtime.exceptionThrown", answer.Method == "Log.entryAdded", answer.Method == "Runtime.consoleAPICalled",
			answer.Method == "Page.javascriptDialogOpening", answer.Method == "Network.requestWillBeSent" && !strings.Contains(string(answer.Params), `"url":"file://`):
			b.wrong = append(b.wrong, answer.Method+" "+string(answer.Params))
		}
	}
}

// eval returns the value of an expression in the page, as text.
func (b *tab) eval(format string, args ...any) string {
	b.t.Helper()
	result := b.call("Runtime.evaluate", object{"expression": fmt.Sprintf("String(%s)", fmt.Sprintf(format, args...)), "returnByValue": true})
	require.NotContains(b.t, result, "exceptionDetails", format)
	return result["result"].(object)["value"].(string)
}

func (b *tab) until(condition string) {
	b.t.Helper()
	testwait.Eventually(b.t, func() bool { return b.eval("%s", condition) == "true" }, "the page: %s", condition)
}

// press presses a key. text is what it types.
func (b *tab) press(key, text string) {
	b.t.Helper()
	code := map[string]int{"Tab": 9, "Enter": 13, "Escape": 27, "ArrowUp": 38, "ArrowDown": 40, "ArrowRight": 39}[key]
	event := object{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code}
	if text != "" {
		event["text"] = text
	}
	b.call("Input.dispatchKeyEvent", event)
	b.call("Input.dispatchKeyEvent", object{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code})
}

// tabTo presses the Tab key until an element that the selector finds has the focus.
func (b *tab) tabTo(selector string) {
	b.t.Helper()
	for range 100 {
		b.press("Tab", "")
		if b.eval("document.activeElement.matches(%q)", selector) == "true" {
			return
		}
	}
	b.t.Fatalf("the Tab key does not reach %s", selector)
}

// TestThePageInABrowser looks at a page with nothing but the keyboard, on a screen of any
// width, and sees that no text of the program does anything.
func TestThePageInABrowser(t *testing.T) {
	evil := `main.</script><img src=x onerror="document.title='evil'"><script>document.title='evil'</script>`
	var groups []object
	for i := range 120 {
		groups = append(groups, groupOf(1000-i, "chan send", fmt.Sprintf("main.f%d", i), "example.com/lib.Run", "main.main"))
	}
	groups = append(groups, groupOf(7, evil, evil, "main.main"))
	stacks := stacksOf(groups...)
	stacks["findings"] = []object{{"title": evil, "lines": []string{strings.Repeat("x", 400)}}}
	b := openTab(t, pageOf(t, bundleOf(t, parts{"stacks.json": stacks, "fds.json": fdsOf(9, object{"kind": evil, "state": evil, "target": strings.Repeat("x", 400), "detail": evil}), "profiles/heap.pb.gz": profileNamed(t, "heap")})))

	require.Equal(t, "50", b.eval(`document.querySelectorAll("#list > li").length`))
	for _, width := range []int{320, 390, 1280} {
		b.call("Emulation.setDeviceMetricsOverride", object{"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 1000})
		require.Equal(t, "", b.eval("[...document.querySelectorAll(\"body *\")].filter(e => e.getBoundingClientRect().right > %d && !e.closest(\".scroll, .flame\")).map(e => e.tagName + e.className)", width), "%d px: these are outside", width)
		require.Equal(t, "true", b.eval("document.documentElement.scrollWidth <= %d", width), "%d px: the page is wider", width)
	}
	light := b.eval("getComputedStyle(document.body).backgroundColor")
	b.call("Emulation.setEmulatedMedia", object{"features": []object{{"name": "prefers-color-scheme", "value": "dark"}}})
	require.NotEqual(t, light, b.eval("getComputedStyle(document.body).backgroundColor"))

	b.tabTo("#search")
	b.call("Input.insertText", object{"text": "MAIN.F11"})
	b.until(`document.querySelector("#shown").textContent === "9844 of 112867 goroutines, in 11 groups"`)
	b.tabTo("#list summary")
	require.NotEqual(t, "none", b.eval("getComputedStyle(document.activeElement).outlineStyle"), "the focus is visible")
	b.press("Enter", "\r")
	b.until(`document.querySelectorAll("#list .frames li").length === 3`)
	b.eval(`document.querySelector("#search").value = ""`)
	b.eval(`document.querySelector("#filter").requestSubmit()`)
	b.tabTo("#more")
	b.press("Enter", "\r")
	require.Equal(t, "50", b.eval(`[...document.querySelectorAll("#list summary")].indexOf(document.activeElement)`), "the focus is on the first new group")

	b.tabTo(".flame button")
	require.Equal(t, "all", b.eval("document.activeElement.title"))
	for _, step := range [][2]string{{"ArrowDown", "main.main"}, {"ArrowDown", "example.com/lib.Run"}, {"ArrowDown", "main.f0"}, {"ArrowRight", "main.f1"}, {"ArrowUp", "example.com/lib.Run"}} {
		b.press(step[0], "")
		require.Equal(t, step[1], b.eval("document.activeElement.title"), step[0])
	}
	require.Contains(t, b.eval(`document.querySelector(".info").textContent`), "example.com/lib.Run: 112,860 goroutines, 100%")
	b.press("ArrowDown", "")
	b.press("Enter", "\r")
	require.Equal(t, "main.f0 100%", b.eval(`document.activeElement.title + " " + document.activeElement.style.width`), "it is as wide as the page")
	b.press("Escape", "")
	require.Equal(t, "all", b.eval("document.activeElement.title"))

	b.tabTo("details[data-flame='1'] > summary")
	b.press("Enter", "\r")
	b.until(`document.querySelectorAll("details[data-flame='1'] .flame button").length > 1`)

	require.NotEqual(t, "evil", b.eval("document.title"))
	require.Equal(t, "0", b.eval(`document.querySelectorAll("img").length`))
	// The policy forbids what the page does not do anyway.
	require.Equal(t, "undefined", b.eval(`(document.body.append(Object.assign(document.createElement("script"), {textContent: "var injected = 1"})), typeof injected)`))
	require.Len(t, b.wrong, 1, "the browser complains of this injection only")
	require.Contains(t, b.wrong[0], "Content Security Policy")
}
