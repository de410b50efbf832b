"""SX1261, SX1262, SX1268: registers and tables of the data sheet. Opcodes: commands.py, start.py; interrupts: modem.py."""

IQ_POLARITY    = 0x0736  # erratum 15.4
SYNC_WORD      = 0x0740
RX_CRC_PRESENT = 0x076B  # bit 4: the header announced a CRC
TX_MODULATION  = 0x0889  # erratum 15.1
RX_GAIN        = 0x08AC
RX_PATCH       = 0x08B5  # undocumented: bit 0 makes the receiver more sensitive
TX_CLAMP       = 0x08D8  # erratum 15.2
OCP            = 0x08E7  # over-current protection, 2.5 mA a step
RTC_CONTROL    = 0x0902  # erratum 15.3
EVENT_MASK     = 0x0944  # erratum 15.3

GAIN_BOOSTED = 0x96
STDBY_RC, STDBY_XOSC = 0, 1

BANDWIDTH = {
    7812: 0x00, 10417: 0x08, 15625: 0x01, 20833: 0x09, 31250: 0x02, 41667: 0x0A, 62500: 0x03,
    125000: 0x04, 250000: 0x05, 500000: 0x06,
}  # fmt: skip

# Arguments of CalibrateImage, multiples of 4 MHz: for 430-440, 470-510, 779-787, 863-870, 902-928 MHz
IMAGE_BANDS = b"\x6b\x6f\x75\x81\xc1\xc5\xd7\xdb\xe1\xe9"

# The most dBm of a row, paDutyCycle, hpMax, deviceSel, power byte for that most
PA_SX1262 = ((14, 2, 2, 0, 22), (17, 2, 3, 0, 22), (20, 3, 5, 0, 22), (22, 4, 7, 0, 22))
PA_SX1261 = ((10, 1, 0, 1, 13), (14, 4, 0, 1, 14), (15, 6, 0, 1, 14))
