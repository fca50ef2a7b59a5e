//go:build tools

// Package tools names what is built here: a program of another module, at the version in go.mod.
package tools

import _ "github.com/versity/versitygw/cmd/versitygw"
