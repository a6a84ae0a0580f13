import { generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import * as x509 from '@peculiar/asn1-x509';
import { fingerprint } from '../../src/inference/certificate.js';
import type { ClientTls } from '../../src/inference/clientTls.js';
import type { ServerTls } from '../../src/inference/serverTls.js';

/** A certificate with its key, and what it takes to issue others. */
export interface Issued {
  readonly key: string;
  readonly certificate: string;
  readonly name: string;
  readonly signer: KeyObject;
}

export interface IssueOptions {
  /** Itself without one. */
  readonly issuer?: Issued;
  readonly isAuthority?: boolean;
  /** Subject alternative names: DNS names, or IPv4 addresses. */
  readonly names?: readonly string[];
  /** Days from now. */
  readonly from?: number;
  readonly until?: number;
}

const DAY = 86_400_000;
const ECDSA_WITH_SHA256 = new x509.AlgorithmIdentifier({ algorithm: '1.2.840.10045.4.3.2' });

/** Issues what the tests of TLS need: authorities, service and user certificates, expired ones. */
export function issue(name: string, options: IssueOptions = {}): Issued {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = options.issuer ?? { name, signer: privateKey };
  const extension = (extnID: string, content: unknown, critical = false) =>
    new x509.Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(content)) });
  const names = (options.names ?? []).map(
    (entry) => new x509.GeneralName(/^[0-9.]+$/.test(entry) ? { iPAddress: entry } : { dNSName: entry }),
  );
  const tbsCertificate = new x509.TBSCertificate({
    version: x509.Version.v3,
    serialNumber: new Uint8Array([0x40, ...randomBytes(15)]).buffer,
    signature: ECDSA_WITH_SHA256,
    issuer: commonName(issuer.name),
    subject: commonName(name),
    validity: new x509.Validity({
      notBefore: new Date(Date.now() + (options.from ?? -1) * DAY),
      notAfter: new Date(Date.now() + (options.until ?? 1) * DAY),
    }),
    subjectPublicKeyInfo: AsnConvert.parse(
      publicKey.export({ type: 'spki', format: 'der' }),
      x509.SubjectPublicKeyInfo,
    ),
    extensions: new x509.Extensions([
      extension(
        x509.id_ce_basicConstraints,
        new x509.BasicConstraints({ cA: options.isAuthority === true }),
        true,
      ),
      ...(names.length > 0
        ? [extension(x509.id_ce_subjectAltName, new x509.SubjectAlternativeName(names))]
        : []),
    ]),
  });
  const signature = sign('sha256', new Uint8Array(AsnConvert.serialize(tbsCertificate)), issuer.signer);
  const certificate = new x509.Certificate({
    tbsCertificate,
    signatureAlgorithm: ECDSA_WITH_SHA256,
    signatureValue: new Uint8Array(signature).buffer,
  });
  return {
    name,
    signer: privateKey,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    certificate: new X509Certificate(new Uint8Array(AsnConvert.serialize(certificate))).toString(),
  };
}

export function fingerprintOf({ certificate }: Pick<Issued, 'certificate'>): string {
  return fingerprint(new X509Certificate(certificate).raw);
}

export function serverTls(issued: Issued, clientCa?: Issued): ServerTls {
  return {
    key: issued.key,
    certificate: issued.certificate,
    fingerprint: fingerprintOf(issued),
    exposed: false,
    ...(clientCa && { clientCa: clientCa.certificate }),
  };
}

function commonName(text: string): x509.Name {
  const value = new x509.AttributeValue({ utf8String: text });
  return new x509.Name([
    new x509.RelativeDistinguishedName([new x509.AttributeTypeAndValue({ type: '2.5.4.3', value })]),
  ]);
}

/** A client's trust in this certificate alone. */
export const pinTo = (issued: Issued): ClientTls => ({
  trust: { kind: 'pin', fingerprint: fingerprintOf(issued) },
});
