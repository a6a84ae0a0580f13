import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress, requireProtected } from '../../src/inference/address.js';

const usage = expect.objectContaining({ code: 'USAGE' });

describe('parseAddress', () => {
  it.each([
    ['127.0.0.1:7321', { host: '127.0.0.1', port: 7321 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['[::1]:65535', { host: '::1', port: 65535 }],
  ])('reads and writes %s', (text, address) => {
    expect(parseAddress(text)).toEqual(address);
    expect(formatAddress(address)).toBe(text);
  });

  it.each([
    '',
    '127.0.0.1',
    ':80',
    'host:',
    'host:65536',
    'host:-1',
    'host:8e1',
    '[127.0.0.1]:80',
    '[::1:80',
    '::1:80',
    'unix:/tmp/socket',
    'dns:///host:80',
    'a b:80',
    'host:80\n',
  ])('refuses %j', (text) => {
    expect(() => parseAddress(text)).toThrow(usage);
  });
});

describe('requireProtected', () => {
  const plain = { tls: false, allowInsecure: false, tokens: false };

  it.each(['127.0.0.1', '127.8.9.1', '::1', 'localhost'])('lets %s pass', (host) => {
    expect(() => requireProtected({ host, port: 1 }, { ...plain, tokens: true })).not.toThrow();
  });

  it.each([
    '0.0.0.0',
    '::',
    '10.0.0.1',
    '192.168.1.1',
    'example.org',
    '127.0.0.1.example.org',
    'localhost.example.org',
  ])('stops plain text on %s unless told otherwise, and tokens always', (host) => {
    const address = { host, port: 1 };
    const insecure = { ...plain, allowInsecure: true };
    expect(() => requireProtected(address, plain)).toThrow(usage);
    expect(() => requireProtected(address, insecure)).not.toThrow();
    expect(() => requireProtected(address, { ...insecure, tokens: true })).toThrow(usage);
    expect(() => requireProtected(address, { tls: true, allowInsecure: false, tokens: true })).not.toThrow();
  });
});
