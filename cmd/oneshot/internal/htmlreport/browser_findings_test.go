//go:build linux

package htmlreport

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAFindingLeadsToItsGoroutines uses nothing but the keyboard.
func TestAFindingLeadsToItsGoroutines(t *testing.T) {
	stacks := stacksOf(groupOf(90, "chan send", "main.send", "main.run"), groupOf(30, "sleep", "main.send", "main.other"), groupOf(3, "select", "main.wait", "main.main"))
	stacks["findings"] = []object{
		{"title": "nobody has it", "places": []object{placeOf("main.heap", 5)}},
		{"title": "they wait", "places": []object{placeOf("main.wait", 1)}},
		{"title": "they send", "places": []object{placeOf("main.send", 1)}},
	}
	b := openTab(t, pageOf(t, bundleOf(t, parts{"stacks.json": stacks})))
	const shown = `document.querySelector("#shown").textContent`
	require.Equal(t, "2", b.eval(`document.querySelectorAll(".findings button").length`))
	require.Equal(t, "0", b.eval(`document.querySelectorAll(".findings > li:first-child button").length`), "no goroutine is there")
	require.Equal(t, "they send", b.eval(`document.getElementById(document.querySelector(".findings > li:last-child button").getAttribute("aria-describedby")).textContent`))
	require.Equal(t, "true", b.eval(`document.querySelector("#all").hidden`))

	b.eval(`document.querySelector("#search").value = "nothing has this"`)
	b.tabTo(".findings > li:nth-child(2) button")
	b.press("Enter", "\r")
	require.Equal(t, "3 of 123 goroutines, in 1 group, at the places of a finding", b.eval(shown))
	require.Equal(t, "0", b.eval(`[...document.querySelectorAll("#list summary")].indexOf(document.activeElement)`), "the focus is on the first group")
	require.Equal(t, "", b.eval(`document.querySelector("#search").value`))

	b.eval(`document.querySelector(".findings > li:nth-child(3) button").focus()`)
	b.press("Enter", "\r")
	require.Equal(t, "120 of 123 goroutines, in 2 groups, at the places of a finding", b.eval(shown))
	b.tabTo("#search")
	b.call("Input.insertText", object{"text": "other"})
	b.until(shown + ` === "30 of 123 goroutines, in 1 group, at the places of a finding"`)
	b.eval(`document.querySelector("#search").value = ""`)

	b.tabTo("#all")
	b.press("Enter", "\r")
	require.Equal(t, "123 of 123 goroutines, in 3 groups", b.eval(shown))
	require.Equal(t, "search", b.eval("document.activeElement.id"))
	require.Equal(t, "true", b.eval(`document.querySelector("#all").hidden`))
	require.Empty(t, b.wrong)
}

// Without its script, the page has no button that does nothing.
func TestAFindingHasNoButtonWithoutTheScript(t *testing.T) {
	stacks := stacksOf(groupOf(90, "chan send", "main.send"))
	stacks["findings"] = []object{{"title": "they send", "places": []object{placeOf("main.send", 1)}}}
	b := openTab(t, "<!DOCTYPE html>")
	b.call("Emulation.setScriptExecutionDisabled", object{"value": true})
	root := b.call("Page.getFrameTree", nil)["frameTree"].(object)["frame"].(object)["id"]
	b.call("Page.setDocumentContent", object{"frameId": root, "html": pageOf(t, bundleOf(t, parts{"stacks.json": stacks}))})
	require.Equal(t, "1", b.eval(`document.querySelectorAll(".findings > li").length`))
	require.Equal(t, "0", b.eval(`[...document.querySelectorAll("button")].filter(b => b.checkVisibility()).length`))
}
