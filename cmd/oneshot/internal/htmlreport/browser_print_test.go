//go:build linux

package htmlreport

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// print prints the page and returns the value of an expression while it is on paper.
func (b *tab) print(expression string) string {
	b.t.Helper()
	b.eval(`(window.onPaper = undefined, window.addEventListener("beforeprint", () => { window.onPaper = String(%s); }, {once: true}))`, expression)
	b.call("Page.printToPDF", object{"transferMode": "ReturnAsStream"})
	return b.eval("window.onPaper")
}

// TestThePageOnPaper has all groups and graphs, and the page is then as it was.
func TestThePageOnPaper(t *testing.T) {
	const state = `[document.querySelectorAll("#list > li").length, document.querySelector("#more").hidden, document.querySelector("#left").hidden ? "" : document.querySelector("#left").textContent, document.querySelectorAll("details[data-flame][open]").length]`
	for _, test := range []struct {
		groups         int
		screen, onPage string
	}{
		{3, "3,true,,1", "3,true,,2"},
		{120, "50,false,,1", "120,true,,2"},
		{503, "50,false,,1", "500,false,Groups that are not printed: 3, with 6 goroutines.,2"},
	} {
		var groups []object
		for i := range test.groups {
			groups = append(groups, groupOf(test.groups-i, "chan send", fmt.Sprintf("main.f%d", i), "main.main"))
		}
		b := openTab(t, pageOf(t, bundleOf(t, parts{"stacks.json": stacksOf(groups...), "profiles/heap.pb.gz": profileNamed(t, "heap")})))
		require.Equal(t, test.screen, b.eval(state))
		require.Equal(t, test.onPage, b.print(state))
		b.until(fmt.Sprintf("String(%s) === %q", state, test.screen))
		require.Equal(t, test.onPage, b.print(state), "once more")
		require.Empty(t, b.wrong)
	}
}

// What the reader has opened, or has not looked for, is on paper as it is on the screen.
func TestTheFilterHoldsOnPaper(t *testing.T) {
	var groups []object
	for i := range 120 {
		groups = append(groups, groupOf(1, "chan send", fmt.Sprintf("main.f%d", i), "main.main"))
	}
	b := openTab(t, pageOf(t, bundleOf(t, parts{"stacks.json": stacksOf(groups...)})))
	b.eval(`(document.querySelector("#list summary").click(), document.querySelector("#more").click())`)
	b.until(`document.querySelectorAll("#list .frames").length === 1`)
	require.Equal(t, "120,1", b.print(`[document.querySelectorAll("#list > li").length, document.querySelectorAll("#list .frames").length]`))
	b.until(`document.querySelectorAll("#list > li").length === 100`)
	require.Equal(t, "1", b.eval(`document.querySelectorAll("#list .frames").length`))
	b.eval(`(document.querySelector("#search").value = "main.f11", document.querySelector("#filter").requestSubmit())`)
	require.Equal(t, "11", b.print(`document.querySelectorAll("#list > li").length`))
}
