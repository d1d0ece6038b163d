//go:build linux

package main

import (
	"bytes"
	"embed"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

//go:embed child/*.go
var child embed.FS

// kernel is the reduced form of one real fault.
type kernel struct {
	name string // of its function, such as Etcd5509
	file string // the name that its file has in the program; "" for healthy
}

// healthy is no fault. It shows that the ordinary goroutines have no findings.
var healthy = kernel{name: "Healthy"}

// notFaults are functions beside the kernels that leave nothing stuck, or keep the
// goroutine that runs them.
var notFaults = map[string]bool{"NoLeakGlobal": true, "DaisyChain": true, "SpawnGC": true, "SelectNoCasesMain": true}

// exam matches the kernels on which the rules are tried only at the end, so that they are
// not made to measure. The others may be looked at while working on the rules.
var exam = regexp.MustCompile(`^(Kubernetes|Moby|Serving|Syncthing)`)

// copyKernels copies the kernels from Go's tree into a folder, together with the program
// around them, and changes them as little as that needs.
func copyKernels(goroot, dir string, held bool) ([]kernel, error) {
	from := filepath.Join(goroot, "src/runtime/testdata/testgoroutineleakprofile")
	var names []string
	for _, pattern := range []string{"*.go", "goker/*.go"} {
		more, err := filepath.Glob(filepath.Join(from, pattern))
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	var kernels []kernel
	for _, name := range names {
		if filepath.Base(name) == "main.go" {
			continue
		}
		file := "kernel_" + filepath.Base(name)
		text, functions, err := adapt(name, held)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			return nil, err
		}
		for _, f := range functions {
			if !notFaults[f] {
				kernels = append(kernels, kernel{name: f, file: file})
			}
		}
	}
	if len(kernels) == 0 {
		return nil, fmt.Errorf("%s holds no kernels", from)
	}
	sort.Slice(kernels, func(i, j int) bool { return kernels[i].name < kernels[j].name })
	return kernels, copyChild(dir)
}

func copyChild(dir string) error {
	files, err := child.ReadDir("child")
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := child.ReadFile("child/" + f.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name()), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// adapt returns a kernel's source for the program, and the functions that it registers.
// No profile is written at their ends, and loops that repeat what fails rarely end soon.
// If held is true, the program keeps the channels and structs that are made.
func adapt(name string, held bool) ([]byte, []string, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, nil, 0) // without comments: their places would be wrong
	if err != nil {
		return nil, nil, err
	}
	functions := registered(file)
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if i := sort.SearchStrings(functions, f.Name.Name); f.Recv == nil && i < len(functions) && functions[i] == f.Name.Name {
			shorten(f)
		}
		if held {
			keepAll(f)
		}
	}
	var text bytes.Buffer
	if err := format.Node(&text, files, file); err != nil {
		return nil, nil, err
	}
	adapted := bytes.ReplaceAll(text.Bytes(), []byte(`pprof.Lookup("goroutineleak")`), []byte(`noProfile(pprof.Lookup)`))
	return adapted, functions, nil
}

// registered returns the functions that a file registers, in alphabetical order.
func registered(file *ast.File) []string {
	var functions []string
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		f, isFunction := call.Fun.(*ast.Ident)
		if arg, ok := call.Args[1].(*ast.Ident); ok && isFunction && f.Name == "register" {
			functions = append(functions, arg.Name)
		}
		return true
	})
	sort.Strings(functions)
	return functions
}

// manyTries is from where on a constant bound of a loop is taken for a number of tries.
const manyTries = 50

// shorten has the loops of a function end after few tries.
func shorten(f *ast.FuncDecl) {
	ast.Inspect(f, func(n ast.Node) bool {
		loop, ok := n.(*ast.ForStmt)
		if !ok {
			return true
		}
		if cond, ok := loop.Cond.(*ast.BinaryExpr); ok {
			if bound, ok := cond.Y.(*ast.BasicLit); ok {
				if v, err := strconv.Atoi(bound.Value); err == nil && v >= manyTries {
					cond.Op, cond.Y = token.LSS, ast.NewIdent("tries")
				}
			}
		}
		return true
	})
}

// keepAll has the program keep the channels and structs that a function makes.
func keepAll(f *ast.FuncDecl) {
	var nodes []ast.Node // all of them, before any is changed
	ast.Inspect(f, func(n ast.Node) bool {
		nodes = append(nodes, n)
		return true
	})
	for _, n := range nodes {
		switch n := n.(type) {
		case *ast.AssignStmt:
			keepEach(n.Rhs)
		case *ast.ValueSpec:
			keepEach(n.Values)
		case *ast.ReturnStmt:
			keepEach(n.Results)
		case *ast.CallExpr:
			keepEach(n.Args)
		case *ast.KeyValueExpr:
			n.Value = keep(n.Value)
		case *ast.BlockStmt:
			n.List = keepVariables(n.List)
		}
	}
}

func keepEach(expressions []ast.Expr) {
	for i := range expressions {
		expressions[i] = keep(expressions[i])
	}
}

// keep returns an expression whose value the program keeps, if it makes a channel or the
// address of a struct. Otherwise it returns the expression itself.
func keep(e ast.Expr) ast.Expr {
	switch made := e.(type) {
	case *ast.CallExpr:
		fun, ok := made.Fun.(*ast.Ident)
		if !ok || len(made.Args) == 0 || fun.Name != "make" && fun.Name != "new" {
			return e
		}
		if _, isChannel := made.Args[0].(*ast.ChanType); fun.Name == "make" && !isChannel {
			return e
		}
	case *ast.UnaryExpr:
		if _, ok := made.X.(*ast.CompositeLit); !ok || made.Op != token.AND {
			return e
		}
	default:
		return e
	}
	return &ast.CallExpr{Fun: ast.NewIdent("keep"), Args: []ast.Expr{e}}
}

// keepVariables has the program keep the variables of a type from package sync.
func keepVariables(statements []ast.Stmt) []ast.Stmt {
	var all []ast.Stmt
	for _, s := range statements {
		all = append(all, s)
		decl, ok := s.(*ast.DeclStmt)
		if !ok {
			continue
		}
		for _, spec := range decl.Decl.(*ast.GenDecl).Specs {
			v, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			if t, ok := v.Type.(*ast.SelectorExpr); ok && strings.HasPrefix(fmt.Sprint(t.X), "sync") {
				for _, name := range v.Names {
					address := &ast.UnaryExpr{Op: token.AND, X: ast.NewIdent(name.Name)}
					all = append(all, &ast.ExprStmt{X: &ast.CallExpr{Fun: ast.NewIdent("keep"), Args: []ast.Expr{address}}})
				}
			}
		}
	}
	return all
}
