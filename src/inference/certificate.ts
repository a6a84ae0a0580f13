import { generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { bytesToHex, sha256 } from '../bytes.js';

/** Name in a certificate that we make ourselves; the pin identifies the service, no name does. */
export const OWN_CERTIFICATE_NAME = 'zklora-contributor';

/** Ten years: users pin the certificate, and a new one needs a new pin. */
const VALID_MS = 3650 * 86_400_000;
/** Room for clocks that are slow, in milliseconds. */
const CLOCK_SLACK_MS = 3_600_000;

const SERIAL_BYTES = 16;

// Object identifiers of RFC 5280, RFC 5758 and X.520.
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';
const COMMON_NAME = '2.5.4.3';
const SERVER_AUTHENTICATION = '1.3.6.1.5.5.7.3.1';

/**
 * A fresh P-256 key and a certificate over it, signed by itself.
 *
 * @param now milliseconds since 1970
 * @returns PEM of the key (PKCS #8), then of the certificate
 */
export async function makeOwnCertificate(now: number): Promise<string> {
  // Needed once in the life of a service.
  const { AsnConvert, OctetString } = await import('@peculiar/asn1-schema');
  const x509 = await import('@peculiar/asn1-x509');
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signatureAlgorithm = new x509.AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 });
  const value = new x509.AttributeValue({ utf8String: OWN_CERTIFICATE_NAME });
  const attribute = new x509.AttributeTypeAndValue({ type: COMMON_NAME, value });
  const name = new x509.Name([new x509.RelativeDistinguishedName([attribute])]);
  const extension = (extnID: string, content: unknown, critical = false) =>
    new x509.Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(content)) });
  const tbsCertificate = new x509.TBSCertificate({
    version: x509.Version.v3,
    serialNumber: exactBuffer(serialNumber()),
    signature: signatureAlgorithm,
    issuer: name,
    subject: name,
    validity: new x509.Validity({
      notBefore: new Date(now - CLOCK_SLACK_MS),
      notAfter: new Date(now + VALID_MS),
    }),
    subjectPublicKeyInfo: AsnConvert.parse(
      exactBuffer(publicKey.export({ type: 'spki', format: 'der' })),
      x509.SubjectPublicKeyInfo,
    ),
    extensions: new x509.Extensions([
      extension(x509.id_ce_basicConstraints, new x509.BasicConstraints({}), true),
      extension(x509.id_ce_extKeyUsage, new x509.ExtendedKeyUsage([SERVER_AUTHENTICATION])),
      extension(
        x509.id_ce_subjectAltName,
        new x509.SubjectAlternativeName([new x509.GeneralName({ dNSName: OWN_CERTIFICATE_NAME })]),
      ),
    ]),
  });
  const signed = new Uint8Array(AsnConvert.serialize(tbsCertificate));
  const certificate = new x509.Certificate({
    tbsCertificate,
    signatureAlgorithm,
    signatureValue: exactBuffer(sign('sha256', signed, privateKey)),
  });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  return key + new X509Certificate(new Uint8Array(AsnConvert.serialize(certificate))).toString();
}

/** SHA-256 of a certificate's DER form, hex. */
export function fingerprint(der: Uint8Array): string {
  return bytesToHex(sha256(der));
}

/** Positive and of full length, as DER has no leading zeros (RFC 5280, 4.1.2.2). */
function serialNumber(): Uint8Array {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes;
}

function exactBuffer(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
