use super::*;

#[test]
fn a_token_is_read_with_its_one_time_password() {
    let (token, otp) = ("hvs.0123456789", "abcdefghijklmn");
    let combined: Vec<u8> = token.bytes().zip(otp.bytes()).map(|(byte, pad)| byte ^ pad).collect();
    for encoded in [STANDARD_NO_PAD.encode(&combined), STANDARD.encode(&combined)] {
        assert_eq!(decoded(&encoded, otp).unwrap().expose(), token);
    }
    assert!(decoded(&STANDARD.encode(&combined), "short").is_err());
    assert!(decoded("!", otp).is_err());
}
