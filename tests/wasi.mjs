// SPDX-License-Identifier: MIT
//
// Runs a WASI program in Node, which sees all files and the environment: node wasi.mjs PROGRAM ...
import {readFile} from 'node:fs/promises';
import {WASI} from 'node:wasi';

const args = process.argv.slice(2);
const wasi = new WASI(
    {version: 'preview1', args, env: process.env, preopens: {'/': '/'}, returnOnExit: true});
const {instance} = await WebAssembly.instantiate(await readFile(args[0]), wasi.getImportObject());
process.exitCode = wasi.start(instance);
